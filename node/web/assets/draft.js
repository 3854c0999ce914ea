// Keeps the text that was typed until it is saved, in this tab alone: its session may end meanwhile, a
// language be chosen, or a link be followed.

/** Begins, on the page of a file of the configuration. */
export function begin() {
  const text = document.querySelector("textarea[data-draft]");
  if (!text) return;
  const key = `vaquita draft ${text.dataset.draft}`;
  const keep = () => sessionStorage.setItem(key, text.value);
  const drop = () => sessionStorage.removeItem(key);
  const kept = sessionStorage.getItem(key);
  // Whether this is the text of the file, and not one that the server shows to go on with.
  const is_file = "isFile" in text.dataset;
  if (!is_file) {
    keep();
  } else if (kept === text.value) {
    drop();
  } else if (kept !== null) {
    text.value = kept;
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
