"use strict";
// What is open lives in the address, so that a link shows the same clip, frame and mode.

function start() {
  const player = new Player();
  const curves = new Curves(player);
  const list = new Clips((clip) => open(clip, {}));
  let clip = null;
  let sides = [];

  function open(next, state) {
    clip = next;
    find("viewer").hidden = false;
    list.mark(clip);
    find("clip-title").textContent = clip.key;
    find("clip-prompt").textContent = clip.prompt;
    find("clip-problems").replaceChildren(...clip.problems.map((text) => element("li", "", text)));
    sides = run.sides.filter((side) => clip.files[run.sides.indexOf(side)]);
    const worst = list.worst(clip);
    const first = worst && worst.harm > 0 ? run.gates[worst.gate].side : sides[0];
    const left = [state.a, first].find((side) => sides.includes(side)) ?? sides[0];
    const right = [state.b, "reference", ...sides].find((side) => side !== left && sides.includes(side));
    choose(left, right);
    scores();
    const worstFrame = curves.worst === null ? 0 : curves.worst;
    player.offset = Number.parseInt(state.offset, 10) || 0;
    player.setMode(["wipe", "difference", "flicker"].includes(state.mode) && right ? state.mode : "side");
    player.setWipe(clamp(Number.parseFloat(state.wipe ?? "50") || 0, 0, 100));
    player.setGain(["1", "2", "8", "16"].includes(state.gain) ? state.gain : "4");
    const frame = Number.parseInt(state.frame, 10);
    player.seek(Number.isNaN(frame) ? worstFrame : frame);
    say(`${clip.key} is open.`);
  }

  function choose(left, right) {
    find("stage-box").classList.toggle("single", !right);
    for (const [id, chosen] of [["left", left], ["right", right]]) {
      find(`${id}-box`).hidden = sides.length < 3;
      find(id).replaceChildren(...sides.map((side) => new Option(side, side, false, side === chosen)));
    }
    const kinds = [left, right].map((side) => side && clip.media[side]?.kind);
    const heard = kinds.includes("audio") && !kinds.includes("video");
    find("stage-box").classList.toggle("heard", heard);
    player.show(view(left), right ? view(right) : ["", null, ""], right && !heard);
    player.left = left;
    player.right = right;
    curves.show(clip, [left, right]);
    const audible = [left, right].some((side) => side && clip.media[side]?.sound);
    find("sound-box").hidden = !audible;
    find("sound").value = "";
    find("speed").value = "1";
  }

  function view(side) {
    const entry = clip.media[side];
    return [side, entry, entry?.note || clip.notes[side] || "not in this report: the budget has no room for it"];
  }

  function scores() {
    find("scores").replaceChildren(
      ...clip.scores.map((score) => {
        const gate = run.gates[score.gate];
        const row = element("tr");
        const head = named("th", "", nameOf(gate));
        head.scope = "row";
        const harm = element("td", score.harm > 0 ? "num worse" : "num", digits(score.harm));
        row.append(head, element("td", "num", digits(score.was)), element("td", "num", digits(score.now)), harm);
        return row;
      }),
    );
    const paths = run.sides.flatMap((side, i) =>
      clip.files[i] ? [element("dt", "", side), element("dd", "", clip.files[i])] : [],
    );
    find("paths").replaceChildren(...paths);
  }

  function update() {
    const count = player.count;
    find("scrub").max = Math.max(0, count - 1);
    find("scrub").value = player.frame;
    find("scrub").disabled = count < 2;
    const seconds = count ? player.clock.times[player.frame] : 0;
    const label = count ? `frame ${player.frame} of ${count}, ${seconds.toFixed(3)} s` : "";
    find("frame-label").textContent = label;
    find("scrub").setAttribute("aria-valuetext", label);
    find("offset").textContent = digits(player.offset);
    find("play").textContent = player.playing ? "Pause" : "Play";
    find("play").setAttribute("aria-pressed", String(player.playing));
    curves.move();
    if (!player.playing) remember();
  }

  /** Put the state into the address, without a new entry in the history. */
  function remember() {
    if (!clip) return;
    const state = new URLSearchParams({ clip: clip.key, frame: player.frame, mode: player.mode });
    if (player.offset) state.set("offset", player.offset);
    if (player.mode === "wipe") state.set("wipe", find("wipe").value);
    if (player.mode === "difference") state.set("gain", find("gain").value);
    if (sides.length > 2) {
      state.set("a", player.left);
      state.set("b", player.right);
    }
    try {
      history.replaceState(null, "", `#${state}`);
    } catch {
      // Some browsers allow no change of a file's address.
    }
  }

  function restore() {
    const state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    const wanted = clips.find((one) => one.key === state.clip);
    if (wanted) open(wanted, state);
    else if (clips.length) open(clips[0], {});
  }

  const keys = {
    1: () => player.setMode("side"),
    2: () => player.setMode("wipe"),
    3: () => player.setMode("difference"),
    4: () => player.setMode("flicker"),
    " ": () => player.toggle(),
    ",": () => player.step(-1),
    ".": () => player.step(1),
    "[": () => player.setOffset(player.offset - 1),
    "]": () => player.setOffset(player.offset + 1),
    j: () => open(list.neighbour(1), { mode: player.mode }),
    k: () => open(list.neighbour(-1), { mode: player.mode }),
    w: () => curves.worst !== null && player.step(curves.worst - player.frame),
    x: () => player.flip(),
    "?": () => find("help").click(),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=range]):not([type=checkbox]), select, textarea");
    const pressing = event.key === " " && event.target.closest("button, summary, input, a");
    const action = keys[event.key];
    if (!action || typing || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });

  player.onchange = update;
  for (const button of document.querySelectorAll("button[data-mode]")) {
    button.addEventListener("click", () => player.setMode(button.dataset.mode));
  }
  find("play").addEventListener("click", () => player.toggle());
  find("back").addEventListener("click", () => player.step(-1));
  find("forth").addEventListener("click", () => player.step(1));
  find("scrub").addEventListener("input", () => {
    player.pause();
    player.seek(Number(find("scrub").value));
  });
  find("offset-less").addEventListener("click", () => player.setOffset(player.offset - 1));
  find("offset-more").addEventListener("click", () => player.setOffset(player.offset + 1));
  find("speed").addEventListener("change", () => player.setSpeed(Number(find("speed").value)));
  find("sound").addEventListener("change", () => player.setSound(find("sound").value));
  find("wipe").addEventListener("input", () => {
    player.setWipe(find("wipe").value);
    remember();
  });
  find("gain").addEventListener("change", () => {
    player.setGain(find("gain").value);
    remember();
  });
  find("flip").addEventListener("click", () => player.flip());
  find("auto-flip").addEventListener("change", () => player.setAutoFlip(find("auto-flip").checked));
  find("save").addEventListener("click", () => player.save(clip.key));
  find("help").addEventListener("click", () => {
    find("keys").hidden = !find("keys").hidden;
    find("help").setAttribute("aria-expanded", String(!find("keys").hidden));
  });
  for (const id of ["left", "right"]) {
    find(id).addEventListener("change", () => {
      const frame = player.frame;
      choose(find("left").value, find("right").value);
      player.seek(frame);
    });
  }
  find("stage").addEventListener("pointermove", (event) => {
    if (player.mode !== "wipe" || !event.buttons) return;
    const box = find("stage").getBoundingClientRect();
    player.setWipe(Math.round(clamp((100 * (event.clientX - box.left)) / box.width, 0, 100)));
    remember();
  });
  addEventListener("hashchange", restore);
  list.list();
  restore();
}

if (clips.length) start();
