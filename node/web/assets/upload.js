// Sends files, one after the other, and shows how far each is.

import { ask } from "./confirm.js";
import { refresh } from "./live.js";

/** Begins, on the page of a directory. */
export function begin() {
  const place = document.querySelector("[data-upload]");
  if (!place) return;
  const input = place.querySelector("input");
  const list = place.querySelector(".progress");
  // What is chosen while others are on their way waits for them.
  let turn = Promise.resolve();
  let waiting = 0;
  const all = (files) => {
    waiting += files.length;
    turn = turn.then(async () => {
      for (const file of files) {
        await one(place, list, file);
        waiting -= 1;
      }
      refresh();
    });
  };
  addEventListener("beforeunload", (event) => {
    if (waiting > 0) event.preventDefault();
  });
  input.addEventListener("change", () => {
    all([...input.files]);
    input.value = "";
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length > 0) all([...event.dataTransfer.files]);
  });
}

async function one(place, list, file) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  const bar = document.createElement("progress");
  const word = document.createElement("small");
  name.textContent = `${file.name} `;
  word.textContent = ` ${place.dataset.doing}`;
  item.append(name, bar, word);
  list.append(item);
  let answer = await send(place, file, bar, false);
  if (answer.status === 412 && (await ask(place.dataset.replace.replace("{}", file.name)))) {
    answer = await send(place, file, bar, true);
  }
  const fine = answer.status >= 200 && answer.status < 300;
  word.textContent = ` ${fine ? place.dataset.done : place.dataset.failed}`;
  if (fine) {
    bar.value = bar.max = 1;
    setTimeout(() => item.remove(), 4000);
  } else {
    const said = answer.response?.error?.message;
    if (said) word.textContent += `: ${said}`;
    bar.remove();
  }
}

function send(place, file, bar, replace) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("PUT", place.dataset.upload + encodeURIComponent(file.name));
    request.responseType = "json";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-VQ-CSRF", document.body.dataset.csrf);
    if (!replace) request.setRequestHeader("If-None-Match", "*");
    request.upload.onprogress = (event) => {
      bar.max = event.total || 1;
      bar.value = event.loaded;
    };
    request.onload = () => resolve(request);
    request.onerror = () => resolve({ status: 0, response: null });
    request.send(file);
  });
}
