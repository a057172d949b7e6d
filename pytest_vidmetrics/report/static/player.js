"use strict";
// Both sides at one frame: modes, steps, and playing in step.

class Player {
  constructor() {
    this.a = new Side(document.querySelector(".side.a"));
    this.b = new Side(document.querySelector(".side.b"));
    this.stage = find("stage");
    this.frame = 0;
    this.offset = 0;
    this.mode = "side";
    this.playing = false;
    this.flipTimer = null;
    this.onchange = () => {};
    this.a.onframe = () => this.follow();
    this.b.onframe = () => this.keepUp();
  }

  /** The side that keeps the time: the left one, unless it has no clip. */
  get clock() {
    return this.a.media || !this.b.media ? this.a : this.b;
  }

  get count() {
    return this.clock.count;
  }

  /** Show two sides; without two pictures there is nothing to lay over each other. */
  show(left, right, comparable) {
    this.pause();
    this.comparable = comparable;
    this.a.show(...left);
    this.b.show(...right);
    this.a.caption.dataset.other = right[0] ? ` | right: ${right[0]}` : "";
    this.frame = 0;
    this.offset = 0;
    this.setSound("");
  }

  /** Go to a frame of the clock; the other side is `offset` frames away. */
  seek(frame) {
    this.frame = clamp(Math.round(frame), 0, Math.max(0, this.count - 1));
    if (this.count) {
      this.a.seek(this.clock === this.a ? this.frame : this.frame - this.offset);
      this.b.seek(this.clock === this.a ? this.frame + this.offset : this.frame);
    }
    this.onchange();
  }

  seekTime(seconds) {
    if (this.count) {
      this.seek(this.clock.frameAt(seconds));
    } else {
      this.a.seekTime(seconds);
      this.b.seekTime(seconds);
    }
  }

  step(by) {
    this.pause();
    this.seek(this.frame + by);
  }

  setOffset(value) {
    this.offset = value;
    this.seek(this.frame);
  }

  setSpeed(value) {
    for (const side of [this.a, this.b]) if (side.media) side.media.playbackRate = value;
  }

  setSound(which) {
    if (this.a.media) this.a.media.muted = which !== "a";
    if (this.b.media) this.b.media.muted = which !== "b";
  }

  play() {
    if (!this.clock.media) return;
    const last = this.count ? this.count - 1 : -1;
    if (this.frame === last || this.clock.media.ended) this.seek(0);
    this.playing = true;
    for (const side of [this.a, this.b]) {
      if (side.media) side.media.play().catch(() => this.pause());
    }
    this.clock.media.onended = () => this.pause();
    this.onchange();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    for (const side of [this.a, this.b]) if (side.media) side.media.pause();
    if (this.count) this.seek(this.clock.frame < 0 ? this.frame : this.clock.frame);
    this.onchange();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** While playing, the clock's frame is the frame. */
  follow() {
    if (this.playing && this.clock === this.a) {
      this.frame = this.a.frame;
      this.onchange();
    }
  }

  /** While playing, the other side is set right when it is more than half a frame off. */
  keepUp() {
    if (!this.playing) return;
    if (this.clock === this.b) {
      this.frame = this.b.frame;
      this.onchange();
      return;
    }
    const due = this.b.timeOf(this.a.frame + this.offset);
    const length = this.b.count > 1 ? this.b.entry.duration / this.b.count : 0;
    if (length && Math.abs(this.b.media.currentTime - due) > 1.5 * length && !this.b.media.ended) this.b.seekTime(due);
  }

  setMode(wanted) {
    const mode = this.comparable ? wanted : "side";
    this.mode = mode;
    this.stage.dataset.mode = mode;
    for (const button of document.querySelectorAll("[data-mode][aria-pressed]")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
    find("wipe-box").hidden = mode !== "wipe";
    find("gain-box").hidden = mode !== "difference";
    find("flip-box").hidden = mode !== "flicker";
    this.stage.dataset.flip = "b";
    this.setAutoFlip(mode === "flicker" && !matchMedia("(prefers-reduced-motion: reduce)").matches);
    this.onchange();
  }

  /** Both sides stay decoded; only the upper one is hidden and shown, so that nothing black lies between them. */
  flip() {
    this.stage.dataset.flip = this.stage.dataset.flip === "a" ? "b" : "a";
  }

  setAutoFlip(on) {
    clearInterval(this.flipTimer);
    this.flipTimer = on ? setInterval(() => this.flip(), 400) : null;
    find("auto-flip").checked = on;
  }

  setWipe(percent) {
    this.stage.style.setProperty("--wipe", `${percent}%`);
    find("wipe").value = percent;
  }

  setGain(gain) {
    this.stage.style.setProperty("--gain", gain);
    find("gain").value = gain;
  }

  /** Save what both sides show as PNG. */
  save(name) {
    for (const side of [this.a, this.b]) {
      if (!side.media || !side.media.videoWidth) continue;
      const canvas = element("canvas");
      canvas.width = side.media.videoWidth;
      canvas.height = side.media.videoHeight;
      canvas.getContext("2d").drawImage(side.media, 0, 0);
      const link = element("a");
      link.download = `${name}-${side === this.a ? "left" : "right"}-${this.frame}.png`.replace(/[^\w.-]+/g, "_");
      try {
        link.href = canvas.toDataURL("image/png");
      } catch {
        say("This browser does not let a page read the pixels of files beside it.");
        return;
      }
      link.click();
    }
  }
}

function say(text) {
  find("status").textContent = text;
}
