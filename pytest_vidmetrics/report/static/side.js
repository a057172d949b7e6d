"use strict";
// One of two pictures: a clip that can be stopped at an exact frame, a sound, a still, or why there is none.

const PATIENCE = 100;
const MOST_TRIES = 6;

class Side {
  constructor(figure) {
    this.figure = figure;
    this.box = figure.querySelector(".picture");
    this.caption = figure.querySelector("figcaption");
    this.onframe = () => {};
    this.clear();
  }

  clear() {
    if (this.media) {
      this.media.pause();
      this.media.removeAttribute("src");
      this.media.load();
    }
    this.media = null;
    this.entry = null;
    this.times = [];
    this.frame = -1;
    this.wanted = null;
    this.target = undefined;
    clearTimeout(this.check);
    this.box.replaceChildren();
    this.caption.textContent = "";
    delete this.figure.dataset.frame;
  }

  /** Show an entry of the record under a name. */
  show(name, entry, note) {
    this.clear();
    this.entry = entry || null;
    this.caption.textContent = name + (entry && entry.note ? ` – ${entry.note}` : "");
    const kind = entry ? entry.kind : "none";
    if (kind === "video" || kind === "audio") {
      this.attach(kind, entry, name);
    } else if (kind === "still") {
      const image = element("img");
      image.src = urlOf(entry.src);
      image.alt = `${name}: ${entry.note}`;
      this.box.append(image);
    } else {
      this.box.append(element("p", "", note || (entry ? entry.note : `no ${name}`)));
    }
  }

  attach(kind, entry, name) {
    const media = element(kind);
    this.media = media;
    this.times = entry.times;
    this.ends = [...entry.times.slice(1), entry.duration];
    media.muted = true;
    media.preload = "auto";
    media.playsInline = true;
    media.setAttribute("aria-label", name);
    if (entry.width) {
      media.width = entry.width;
      media.height = entry.height;
    }
    media.src = urlOf(entry.src);
    media.addEventListener("seeked", () => this.arrived(media));
    media.addEventListener("loadeddata", () => media === this.media && this.go());
    media.addEventListener("error", () => this.failed(media));
    this.box.append(media);
    if (kind === "audio") this.box.append(element("p", "", "sound only"));
    this.watch(media);
  }

  failed(media) {
    if (media !== this.media || !media.getAttribute("src")) return;
    this.box.replaceChildren(element("p", "", "this browser cannot play the preview"));
  }

  /** Follow which frame is on the screen. */
  watch(media) {
    if (media.requestVideoFrameCallback) {
      const seen = (_, facts) => {
        if (media !== this.media) return;
        this.shown(facts.mediaTime);
        media.requestVideoFrameCallback(seen);
      };
      media.requestVideoFrameCallback(seen);
    } else {
      media.addEventListener("timeupdate", () => media === this.media && this.shown(media.currentTime));
    }
  }

  shown(seconds) {
    this.frame = this.frameAt(seconds);
    this.figure.dataset.frame = this.frame;
    this.onframe();
  }

  get count() {
    return this.times.length;
  }

  /** Return the frame that is shown at a time: the last one that begins no later, but for rounding. */
  frameAt(seconds) {
    let low = 0;
    let high = this.times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times[middle] <= seconds + 0.001) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Return a time inside of a frame: its middle, as its beginning may belong to the frame before. */
  timeOf(frame) {
    const at = clamp(frame, 0, Math.max(0, this.count - 1));
    return this.count ? (this.times[at] + this.ends[at]) / 2 : 0;
  }

  /** Show a frame as soon as the seek before is done. */
  seek(frame) {
    this.seekTime(this.timeOf(frame));
  }

  seekTime(seconds) {
    if (!this.media) return;
    this.wanted = seconds;
    if (this.media.readyState >= 2 && !this.media.seeking) this.go();
  }

  go() {
    if (this.wanted === null) return;
    this.target = this.wanted;
    this.wanted = null;
    this.tries = 0;
    this.media.currentTime = this.target;
  }

  arrived(media) {
    if (media !== this.media) return;
    if (this.wanted !== null && this.wanted !== this.target) {
      this.go();
    } else {
      this.wanted = null;
      clearTimeout(this.check);
      this.check = setTimeout(() => this.confirm(media), PATIENCE);
    }
  }

  /** Browsers sometimes draw the frame of a seek without saying so: ask again, a hair away inside of the frame. */
  confirm(media) {
    if (media !== this.media || !this.count || !media.paused || media.seeking || this.target === undefined) return;
    if (this.frame === this.frameAt(this.target)) return;
    this.tries += 1;
    if (this.tries > MOST_TRIES) this.shown(this.target);
    else media.currentTime = this.target + (this.tries % 2 ? 0.0005 : -0.0005);
  }
}
