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
const READERS = { DETAILS: ["open"], DIALOG: ["open"], OPTION: ["selected"] };
// Of these the value says what they stand for, and is the server's: a tick that is kept must not come to
// stand for another thing.
const FIXED = ["hidden", "checkbox", "radio"];

function readers(element) {
  if (element.nodeName !== "INPUT") return READERS[element.nodeName] ?? [];
  return FIXED.includes(element.type) ? ["checked"] : ["value"];
}

function attributes(old, fresh) {
  const kept = readers(old);
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !kept.includes(name) && !name.startsWith("data-now")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (!kept.includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function children(old, fresh) {
  const wanted = [...fresh.childNodes];
  const stay = new Set(wanted.map((it) => it.id).filter(Boolean));
  const known = new Map();
  for (const child of [...old.children]) {
    if (!child.id) continue;
    // What goes, goes first: then what stays is in its place already, and keeps the focus.
    if (stay.has(child.id)) known.set(child.id, child);
    else child.remove();
  }
  let here = old.firstChild;
  for (const it of wanted) {
    const same = it.id ? known.get(it.id) : undefined;
    if (same) {
      if (same === here) here = here.nextSibling;
      else old.insertBefore(same, here);
      morph(same, it);
      known.delete(it.id);
    } else if (here && !it.id && !here.id && here.nodeName === it.nodeName) {
      const next = here.nextSibling;
      morph(here, it);
      here = next;
    } else {
      old.insertBefore(document.importNode(it, true), here);
    }
  }
  while (here) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}
