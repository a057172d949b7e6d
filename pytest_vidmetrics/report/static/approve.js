"use strict";
// Ticked gates become one command. A page cannot write baselines; a person runs it where the repository is.

/** Return a text as a POSIX shell reads it back. */
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\"'\"'")}'`;
}

function approve() {
  const ticked = [...document.querySelectorAll("input.accept:checked")];
  find("approve").hidden = ticked.length === 0;
  const files = ticked.map((box) => quoted(box.dataset.file.replace(/\.json$/, "")));
  find("accept-command").textContent = `vidmetrics accept ${quoted(run.record)} ${files.join(" ")}`;
  const ids = ticked.map((box) => quoted(box.value));
  const checkpoint = run.checkpoint ? [quoted(`--vidmetrics-checkpoint=${run.checkpoint}`)] : [];
  find("update-command").textContent = ["pytest", ...ids, ...checkpoint, "--update-baselines"].join(" ");
}

for (const box of document.querySelectorAll("input.accept")) box.addEventListener("change", approve);
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = find(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      say("Copied.");
    } catch {
      getSelection().selectAllChildren(source);
      say("The command is selected: copy it with the keyboard.");
    }
  });
}
