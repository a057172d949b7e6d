"use strict";
// The list of clips, worst first, and the clip that is open.

const PAGE = 100;

class Clips {
  constructor(onopen) {
    this.onopen = onopen;
    this.shown = PAGE;
    this.open = null;
    this.listed = clips;
    for (const [i, gate] of run.gates.entries()) {
      if (!clips.some((clip) => clip.scores.some((score) => score.gate === i))) continue;
      const option = element("option", "", gate.label);
      option.value = String(i);
      find("order").append(option);
    }
    find("find").addEventListener("input", () => this.list());
    find("order").addEventListener("change", () => this.list());
    find("more").addEventListener("click", () => this.extend());
    find("rows").addEventListener("click", (event) => {
      const row = event.target.closest("button");
      if (row) this.onopen(clips[Number(row.dataset.clip)]);
    });
  }

  /** Apply what is looked for and the order. */
  list() {
    const words = find("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const gate = find("order").value === "" ? null : Number(find("order").value);
    const text = (clip) => `${clip.key} ${clip.prompt}`.toLowerCase();
    this.listed = clips.filter((clip) => words.every((word) => text(clip).includes(word)));
    if (gate !== null) {
      const harm = (clip) => clip.scores.find((score) => score.gate === gate)?.harm ?? -Infinity;
      this.listed = this.listed
        .filter((clip) => clip.scores.some((score) => score.gate === gate))
        .sort((one, other) => harm(other) - harm(one));
    }
    this.gate = gate;
    this.shown = PAGE;
    find("rows").replaceChildren();
    this.fill(0);
    find("list-count").textContent = `${this.listed.length} clips`;
  }

  extend() {
    const from = this.shown;
    this.shown += PAGE;
    this.fill(from);
    find("rows").children[from]?.querySelector("button").focus();
  }

  fill(from) {
    find("rows").append(...this.listed.slice(from, this.shown).map((clip) => this.row(clip)));
    find("more").hidden = this.shown >= this.listed.length;
  }

  row(clip) {
    const button = element("button");
    button.type = "button";
    button.dataset.clip = clip.index;
    if (clip === this.open) button.setAttribute("aria-current", "true");
    button.append(named("span", "name", clip.key));
    if (clip.prompt) button.append(element("span", "prompt", clip.prompt.slice(0, 200)));
    const worst = this.worst(clip);
    if (clip.problems.length) button.append(element("span", "harm worse", clip.problems[0]));
    else if (worst && worst.harm > 0) button.append(element("span", "harm", this.describe(worst)));
    else if (worst) button.append(element("span", "harm", "not worse"));
    const item = element("li");
    item.append(button);
    return item;
  }

  /** Return the score that got worst of those in red gates, else of all. */
  worst(clip) {
    const chosen = clip.scores.filter((one) => one.harm !== null && (this.gate === null || one.gate === this.gate));
    const weight = (one) => {
      const gate = run.gates[one.gate];
      return (one.harm / (largest[one.gate] || 1)) * (gate.red ? 2 : 1) * (gate.set ? 0.5 : 1);
    };
    return chosen.reduce((found, one) => (found && weight(found) >= weight(one) ? found : one), null);
  }

  describe(score) {
    const gate = run.gates[score.gate];
    return `${nameOf(gate)}: ${digits(score.was)} → ${digits(score.now)} ${gate.unit}`;
  }

  mark(clip) {
    this.open = clip;
    for (const button of find("rows").querySelectorAll("[aria-current]")) button.removeAttribute("aria-current");
    const row = find("rows").querySelector(`[data-clip="${clip.index}"]`);
    if (row) {
      row.setAttribute("aria-current", "true");
      row.scrollIntoView({ block: "nearest" });
    }
  }

  /** Return the clip `by` places further in the list as it is shown. */
  neighbour(by) {
    const at = this.listed.indexOf(this.open);
    return this.listed[clamp(at + by, 0, this.listed.length - 1)];
  }
}
