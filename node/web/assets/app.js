// What makes the pages pleasant. None of them needs it: every link is a link and every form a form.

import { begin as confirm } from "./confirm.js";
import { begin as draft } from "./draft.js";
import { begin as live } from "./live.js";
import { begin as select } from "./select.js";
import { begin as tail } from "./tail.js";
import { begin as upload } from "./upload.js";

document.documentElement.classList.add("scripted");
document.querySelector("form[data-submit-now]")?.requestSubmit();

/** Dates in the reader's own zone. */
export function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = at.toLocaleString(document.documentElement.lang);
  }
}

confirm();
select();
live(localise);
tail();
upload();
draft();
localise(document);
