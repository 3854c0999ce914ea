// Follows the end of a log.

import { trouble } from "./live.js";

const EVERY_MS = 1000;
const LINES_MAX = 5000;

/** Begins, on the page of a log. */
export function begin() {
  const log = document.querySelector(".log[data-tail]");
  if (!log) {
    bottom(document.querySelector(".log"));
    return;
  }
  const follows = document.getElementById("tail");
  const decoder = new TextDecoder();
  let offset = Number(log.dataset.offset);
  let rest = "";
  bottom(log);
  const read = async () => {
    if (!follows.checked || document.hidden) return;
    const answer = await fetch(`${log.dataset.tail}?offset=${offset}&len=65536`, { headers: { "X-VQ-Live": "1" } });
    if (answer.status === 401) location.reload();
    trouble(!answer.ok);
    if (!answer.ok) return;
    if (Number(answer.headers.get("x-log-length")) < offset) {
      // A new file has been begun.
      location.reload();
      return;
    }
    const bytes = new Uint8Array(await answer.arrayBuffer());
    offset += bytes.length;
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop();
    append(log, lines);
  };
  const again = () => read().catch(() => trouble(true)).finally(() => setTimeout(again, EVERY_MS));
  setTimeout(again, EVERY_MS);
}

function append(log, lines) {
  const wanted = log.dataset.search.toLowerCase();
  const fresh = lines.filter((line) => line.toLowerCase().includes(wanted));
  if (fresh.length === 0) return;
  const at_end = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  for (const line of fresh) {
    const item = document.createElement("li");
    item.textContent = line;
    item.className = level(line);
    log.append(item);
  }
  while (log.children.length > LINES_MAX) log.firstElementChild.remove();
  document.querySelector(".empty")?.remove();
  if (at_end) bottom(log);
}

function level(line) {
  const start = line.slice(0, 60);
  if (start.includes("ERROR")) return "bad";
  if (start.includes("WARNING")) return "warn";
  return start.includes("DEBUG") ? "dim" : "";
}

function bottom(log) {
  if (log) log.scrollTop = log.scrollHeight;
}
