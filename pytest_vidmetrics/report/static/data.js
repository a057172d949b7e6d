"use strict";
// What the page was made from, and the bytes inside of it.

const run = JSON.parse(document.getElementById("run").textContent);
const find = (id) => document.getElementById(id);
const urls = new Map();

/** Return a URL for what an entry names: a file beside the page, or bytes that the page holds, decoded once. */
function urlOf(name) {
  const part = find(name);
  if (!part) return name;
  if (!urls.has(name)) {
    const bytes = Uint8Array.from(atob(part.textContent), (sign) => sign.charCodeAt(0));
    urls.set(name, URL.createObjectURL(new Blob([bytes], { type: part.dataset.mime })));
  }
  return urls.get(name);
}

/** Return a new element with a class and a text. Texts are never read as HTML. */
function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Return a new element with a name that may be broken behind its signs, and within a long word of ASCII letters. */
function named(tag, className, text) {
  const made = element(tag, className);
  const words = text.match(/[^._/:@-]+[._/:@-]*|[._/:@-]+/g) || [];
  const parts = words.flatMap((word) => (/[^ -~]/.test(word) ? [word] : word.match(/.{1,24}/g)));
  made.append(...parts.flatMap((part, i) => (i ? [element("wbr"), part] : [part])));
  return made;
}

function svgElement(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Return at most five significant digits; an en dash for no value. */
function digits(value) {
  if (value === null || value === undefined) return "–";
  return String(Number(value.toPrecision(5))).replace("-", "−");
}

/** Return what the values of a gate are called: those of a set are what each clip adds to the score. */
function nameOf(gate) {
  return gate.set ? `${gate.label} (influence)` : gate.label;
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/** The largest harm of a clip by gate, at least 0: what harms of different gates are measured by. */
const largest = run.gates.map(() => 0);

/** Clips as objects. Harm is how much worse a value got, in the direction of its gate. */
const clips = run.clips.map(([id, theCase, prompt, scores, files, problems], index) => ({
  index,
  id,
  theCase: run.cases[theCase],
  key: run.cases.length > 1 ? `${run.cases[theCase]}::${id}` : id,
  prompt,
  files,
  problems,
  scores: scores.map(([gate, was, now]) => ({
    gate,
    was,
    now,
    harm: was === null || now === null ? null : run.gates[gate].sign * (was - now),
  })),
  media: run.media[index] || {},
  notes: run.notes[index] || {},
  curves: run.curves[index] || [],
}));

for (const clip of clips) {
  for (const score of clip.scores) largest[score.gate] = Math.max(largest[score.gate], score.harm ?? 0);
}
