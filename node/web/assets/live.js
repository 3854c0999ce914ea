// Draws the page anew when the server says that something on it has changed.

import { morph } from "./morph.js";

let after = () => {};
let under_way = null;
let again = false;

/** Fetches the page at its present address and makes what is shown like it. */
export function refresh() {
  if (under_way) {
    again = true;
    return under_way;
  }
  under_way = fetched(location.pathname + location.search)
    .then((page) => {
      if (!page) return;
      const fresh = page.querySelector("main");
      const here = document.querySelector("main");
      // What was told once stays until the reader goes elsewhere.
      fresh.querySelector("#flashes")?.replaceWith(page.importNode(here.querySelector("#flashes"), true));
      morph(here, fresh);
      after(here);
      here.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
    })
    .catch(() => {})
    .finally(() => {
      under_way = null;
      if (again) {
        again = false;
        refresh();
      }
    });
  return under_way;
}

// The browser reads the answer as a document by itself, so that no script makes HTML of a text.
function fetched(address) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.responseType = "document";
    request.open("GET", address);
    // So that a page that is merely open does not keep its session alive.
    request.setRequestHeader("X-VQ-Live", "1");
    request.timeout = 10000;
    request.onload = () => {
      if (new URL(request.responseURL).pathname === "/login") location.reload();
      else resolve(request.status === 200 ? request.response : null);
    };
    request.onerror = request.ontimeout = () => reject(new Error("no answer"));
    request.send();
  });
}

function lost(is) {
  let note = document.getElementById("lost");
  if (!is) {
    note?.remove();
    return;
  }
  if (note) return;
  note = document.createElement("div");
  note.id = "lost";
  note.className = "flash bad lost";
  note.setAttribute("role", "alert");
  note.textContent = document.body.dataset.lost;
  document.body.append(note);
}

function listen(events) {
  let patience = null;
  const source = new EventSource("/ui/events");
  for (const event of events) source.addEventListener(event, refresh);
  source.onopen = () => {
    clearTimeout(patience);
    patience = null;
    lost(false);
  };
  source.onerror = () => {
    // A stream ends now and then and comes back by itself; a controller that restarts takes a second.
    patience ??= setTimeout(() => lost(true), 4000);
    if (source.readyState === EventSource.CLOSED) {
      source.close();
      setTimeout(() => {
        refresh();
        listen(events);
      }, 2000);
    }
  };
  addEventListener("pagehide", () => source.close(), { once: true });
}

// Forms that choose what is shown act while one types, and leave no trail in the history.
function instant() {
  let soon = null;
  const apply = (form) => {
    const address = new URL(location);
    const names = new Set([...form.elements].map((it) => it.name).filter(Boolean));
    for (const name of names) address.searchParams.delete(name);
    for (const [name, value] of new FormData(form)) address.searchParams.append(name, value);
    history.replaceState(null, "", address);
    refresh();
  };
  document.addEventListener("input", (event) => {
    const form = event.target.closest?.("form[data-instant]");
    if (!form) return;
    clearTimeout(soon);
    soon = setTimeout(() => apply(form), 120);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-instant]")) return;
    event.preventDefault();
    apply(event.target);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-refresh]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const address = new URL(location);
    for (const [name, value] of new URL(link.href).searchParams) address.searchParams.set(name, value);
    history.replaceState(null, "", address);
    refresh();
  });
}

/** Begins; `drawn` is called with whatever was drawn anew. */
export function begin(drawn) {
  after = drawn;
  instant();
  const events = (document.body.dataset.live ?? "").split(" ").filter(Boolean);
  if (events.length > 0) listen(events);
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}
