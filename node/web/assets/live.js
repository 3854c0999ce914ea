// Draws the page anew when the server says that something on it has changed.

import { closed } from "./confirm.js";
import { morph } from "./morph.js";

let after = () => {};
let under_way = null;
let again = false;
let retry = null;

/**
 * Fetches the page at its present address and makes what is shown like it. `by_reader` says whether
 * somebody did something for it: a page that is merely open does not keep its session alive.
 */
export function refresh({ by_reader = false } = {}) {
  if (under_way) {
    again = true;
    if (!by_reader) return under_way;
  }
  const mine = drawn(location.pathname + location.search, by_reader)
    .catch(() => {
      trouble(true);
      retry ??= setTimeout(() => {
        retry = null;
        refresh();
      }, 3000);
    })
    .finally(() => {
      if (under_way !== mine) return;
      under_way = null;
      if (again) {
        again = false;
        refresh();
      }
    });
  under_way = mine;
  return mine;
}

async function drawn(address, by_reader) {
  const page = await fetched(address, by_reader);
  // Nothing moves while somebody is asked about what is shown.
  await closed();
  // What was asked for with another address is another page.
  if (!page || address !== location.pathname + location.search) return;
  const fresh = page.querySelector("main");
  const here = document.querySelector("main");
  // What was told once stays until the reader goes elsewhere.
  fresh.querySelector("#flashes")?.replaceWith(page.importNode(here.querySelector("#flashes"), true));
  morph(here, fresh);
  after(here);
  here.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
}

// The browser reads the answer as a document by itself, so that no script makes HTML of a text.
function fetched(address, by_reader) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.responseType = "document";
    request.open("GET", address);
    if (!by_reader) request.setRequestHeader("X-VQ-Live", "1");
    request.timeout = 10000;
    request.onload = () => {
      const at = new URL(request.responseURL).pathname;
      if (request.status === 200 && at === location.pathname) {
        trouble(false);
        resolve(request.response);
      } else if (request.status < 500 && request.status !== 429) {
        // Elsewhere, or refused: that page says why.
        if (at === location.pathname) location.reload();
        else location.assign(request.responseURL);
        resolve(null);
      } else {
        reject(new Error("no page"));
      }
    };
    request.onerror = request.ontimeout = () => reject(new Error("no answer"));
    request.send();
  });
}

// A stream ends now and then and comes back by itself, and a controller that restarts takes a second: only
// what lasts is told.
const PATIENCE_MS = 4000;
let patience = null;

/** Tells that what is shown is out of date, once that has lasted; or that it no longer is. */
export function trouble(is) {
  if (is) {
    patience ??= setTimeout(tell, PATIENCE_MS);
    return;
  }
  clearTimeout(patience);
  patience = null;
  document.getElementById("lost")?.remove();
}

function tell() {
  if (document.getElementById("lost")) return;
  const note = document.createElement("div");
  note.id = "lost";
  note.className = "flash bad lost";
  note.setAttribute("role", "alert");
  note.textContent = document.body.dataset.lost;
  document.body.append(note);
}

// Listens while the page is seen: a browser has six connections to a host for all its tabs.
function listen(events) {
  let source = null;
  let anew = null;
  const close = () => {
    clearTimeout(anew);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    source = new EventSource("/ui/events");
    for (const event of events) source.addEventListener(event, () => refresh());
    source.onopen = () => trouble(false);
    source.onerror = () => {
      trouble(true);
      if (source.readyState !== EventSource.CLOSED) return;
      close();
      anew = setTimeout(() => {
        refresh();
        open();
      }, 3000);
    };
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      trouble(false);
    } else {
      refresh();
      open();
    }
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => {
    if (event.persisted && !document.hidden) open();
  });
  if (!document.hidden) open();
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
    refresh({ by_reader: true });
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
    refresh({ by_reader: true });
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
