// Keeps the text that was typed until it is saved, in this tab alone: its session may end meanwhile, a
// language be chosen, or a link be followed.

/** Begins, on the page of a file of the configuration. */
export function begin() {
  const text = document.querySelector("textarea[data-draft]");
  if (!text) return;
  const key = `vaquita draft ${text.dataset.draft}`;
  // Which text of the file the reader has before them: what they save takes the place of that one alone.
  const tags = [...document.querySelectorAll("form[data-edits] input[name=etag]"), text.form.elements.etag];
  const tag = () => text.form.elements.etag.value;
  const keep = () => sessionStorage.setItem(key, JSON.stringify({ text: text.value, etag: tag() }));
  const drop = () => sessionStorage.removeItem(key);
  const kept = JSON.parse(sessionStorage.getItem(key));
  // Whether this is the text of the file, and not one that the server shows to go on with.
  const is_file = "isFile" in text.dataset;
  if (!is_file) {
    keep();
  } else if (kept?.text === text.value) {
    drop();
  } else if (kept) {
    text.value = kept.text;
    for (const field of tags) field.value = kept.etag;
    document.getElementById("draft-is-back").hidden = false;
  }
  text.addEventListener("input", keep);
  for (const link of document.querySelectorAll("[data-drop-draft]")) link.addEventListener("click", drop);
  // A form beside the text changes what was typed, not what is in the file.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-edits]")) return;
    const typed = text.value !== text.defaultValue || !is_file;
    let field = form.querySelector("input[name=text]");
    if (!typed) return field?.remove();
    if (!field) {
      field = document.createElement("input");
      field.type = "hidden";
      field.name = "text";
      form.append(field);
    }
    field.value = text.value;
  });
}
