// Asks before what cannot be taken back, or takes something away.

// One question at a time.
let asked = Promise.resolve();

/** Asks; whether the answer was yes. Names are listed below the question. */
export function ask(question, names = []) {
  const answer = asked.then(() => shown(question, names));
  asked = answer.catch(() => {});
  return answer;
}

async function shown(question, names) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("#confirm-text").textContent = question;
  const items = names.map((name) => {
    const item = document.createElement("li");
    item.textContent = name;
    return item;
  });
  dialog.querySelector("#confirm-list").replaceChildren(...items);
  dialog.returnValue = "no";
  dialog.showModal();
  dialog.querySelector("#confirm-yes").focus();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue === "yes";
}

/** Resolves when no question is open, nor one that waits for its turn. */
export async function closed() {
  const dialog = document.getElementById("confirm");
  while (dialog?.open) {
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    // The next one is asked by now, if there is one.
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** Begins. */
export function begin() {
  document.addEventListener("submit", async (event) => {
    const { submitter } = event;
    const question = submitter?.dataset.confirm;
    if (!question || submitter.dataset.nowConfirmed) return;
    event.preventDefault();
    if (!(await ask(question, chosen(event.target)))) {
      submitter.focus();
      return;
    }
    submitter.dataset.nowConfirmed = "1";
    event.target.requestSubmit(submitter);
    delete submitter.dataset.nowConfirmed;
  });
}

// What the form is about: what is ticked, or the one thing that it names.
function chosen(form) {
  const names = ["node", "entry", "user", "path"];
  for (const name of names) {
    const values = new FormData(form).getAll(name).filter((value) => value !== "");
    if (values.length > 0) return values;
  }
  return [];
}
