/** The waveform of a speech, which grows while it is made. */
import { html, useEffect, useRef } from "./vendor/preact-htm.js";
import { seconds, t } from "./i18n.js";
import { PEAK } from "./speech.js";
import { RATE } from "./player.js";

const BAR = 3; // CSS pixels, the gap included
const GAP = 1;
const SECONDS = 6; // the least time that the whole width stands for

/** @param {{ speech: import("./speech.js").Speech | null }} properties */
export function Waveform({ speech }) {
  const canvas = useRef(null);
  useEffect(() => {
    const draw = () => drawPeaks(canvas.current, speech);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const resized = new ResizeObserver(draw);
    resized.observe(canvas.current);
    dark.addEventListener("change", draw);
    let frame = 0;
    const next = () => {
      draw();
      frame = speech?.active ? requestAnimationFrame(next) : 0;
    };
    next();
    return () => {
      cancelAnimationFrame(frame);
      resized.disconnect();
      dark.removeEventListener("change", draw);
    };
  }, [speech, speech?.active, speech?.samples]);
  const label = t("waveform", { seconds: seconds(speech?.seconds ?? 0) });
  return html`<canvas ref=${canvas} class="waveform" role="img" aria-label=${label}></canvas>`;
}

/** Draws the peaks as bars; those that were heard have another colour. */
function drawPeaks(canvas, speech) {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const graphics = canvas.getContext("2d");
  graphics.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const peaks = speech?.peaks ?? [];
  const bars = Math.floor(width / BAR);
  const shown = Math.max(peaks.length, (SECONDS * RATE) / PEAK);
  const heard = speech?.active ? speech.playback.position : Infinity;
  for (let bar = 0; bar < bars; bar++) {
    const first = Math.floor((bar * shown) / bars);
    const last = Math.max(first + 1, Math.floor(((bar + 1) * shown) / bars));
    const peak = Math.max(0, ...peaks.slice(first, last));
    const length = Math.max(2, Math.sqrt(peak) * height); // as loud as it seems
    const known = first < peaks.length;
    const played = known && (first * PEAK) / RATE <= heard;
    graphics.fillStyle = style.getPropertyValue(
      known ? (played ? "--accent" : "--bar") : "--line",
    );
    graphics.fillRect(bar * BAR, (height - length) / 2, BAR - GAP, length);
  }
}
