// Ticking rows: all of them, a range with the shift key, and how many are ticked.

function boxes(form) {
  return [...form.querySelectorAll("tbody input[type=checkbox]")];
}

function tell(form) {
  const all = boxes(form);
  const ticked = all.filter((box) => box.checked).length;
  for (const text of form.querySelectorAll("[data-chosen]")) {
    text.dataset.nowEmpty ??= text.textContent;
    text.textContent = ticked ? text.dataset.chosen.replace("{}", ticked) : text.dataset.nowEmpty;
  }
  for (const button of form.querySelectorAll("button[name=do]")) button.disabled = ticked === 0;
  const every = form.querySelector("[data-all]");
  if (every) {
    every.checked = ticked > 0 && ticked === all.length;
    every.indeterminate = ticked > 0 && ticked < all.length;
  }
}

/** Begins. */
export function begin() {
  let last = null;
  for (const form of document.querySelectorAll("form[data-select]")) tell(form);
  document.addEventListener("drawn", () => {
    for (const form of document.querySelectorAll("form[data-select]")) tell(form);
  });
  document.addEventListener("click", (event) => {
    const box = event.target;
    const form = box.closest?.("form[data-select]");
    if (!form || box.type !== "checkbox") return;
    const all = boxes(form);
    if (box.matches("[data-all]")) {
      for (const each of all) each.checked = box.checked;
    } else if (event.shiftKey && all.includes(last)) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
      for (const each of all.slice(from, to + 1)) each.checked = box.checked;
    }
    last = box;
    tell(form);
  });
}
