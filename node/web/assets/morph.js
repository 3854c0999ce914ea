// Makes one tree of elements like another, changing as little as possible: what the reader has focused,
// selected, typed or opened stays as it is.

/** Makes `old` like `fresh`, which comes from the same server and is not used again. */
export function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(document.importNode(fresh, true));
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  attributes(old, fresh);
  // What a script has put there is not the server's to take away.
  if (old.nodeName === "TEXTAREA" || old.hasAttribute("data-keep")) return;
  children(old, fresh);
}

// What the reader, and not the server, decides.
const READERS = { INPUT: ["value", "checked"], DETAILS: ["open"], DIALOG: ["open"], OPTION: ["selected"] };

function attributes(old, fresh) {
  const kept = READERS[old.nodeName] ?? [];
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !kept.includes(name) && !name.startsWith("data-now")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (!kept.includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function children(old, fresh) {
  const byId = new Map();
  for (const child of old.children) if (child.id) byId.set(child.id, child);
  let here = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const known = wanted.id ? byId.get(wanted.id) : undefined;
    if (known) {
      if (known !== here) old.insertBefore(known, here);
      else here = here.nextSibling;
      morph(known, wanted);
      byId.delete(wanted.id);
    } else if (here && !wanted.id && !here.id && here.nodeName === wanted.nodeName) {
      const next = here.nextSibling;
      morph(here, wanted);
      here = next;
    } else {
      old.insertBefore(document.importNode(wanted, true), here);
    }
  }
  while (here) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}
