/** @file What a person sees of a run: one live line on a terminal, a line now and then elsewhere, and a report. */
import type { Listener, Progress } from "./run-log.ts";
import { type Summary, formatBits } from "./summary.ts";

/** Seconds between lines where the output is not a terminal. */
const quietSeconds = 10;
/** Loading is shown once it takes longer than this. */
const shortSeconds = 1;

const percent = (fraction: number | null) => (fraction === null ? "–" : `${Math.round(fraction * 100)} %`);

function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** In clock format. */
function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, i) => (i ? `${part}`.padStart(2, "0") : part)).join(":");
}

/** Each stage's fraction of the time that all of them worked, the largest first. */
function stageTimes(stages: Progress["stages"]): string[] {
  const seconds = Object.entries(stages).map(([name, stage]) => [name, stage.seconds] as const);
  const total = seconds.reduce((sum, [, own]) => sum + own, 0) || 1;
  const sorted = seconds.toSorted(([, a], [, b]) => b - a).filter(([, own]) => own / total >= 0.005);
  return sorted.map(([name, own]) => `${name} ${percent(own / total)}`);
}

/** Truncates by the width of the whole: characters side by side may be wider or narrower than each alone. */
function fit(text: string, columns: number): string {
  if (Bun.stringWidth(text) <= columns) return text;
  for (let kept = columns - 1; kept > 0; kept--) {
    const cut = `${Bun.sliceAnsi(text, 0, kept)}…`;
    if (Bun.stringWidth(cut) <= columns) return cut;
  }
  return "…".slice(0, columns);
}

/**
 * A step in one line. What does not fit is dropped in this order: the stages' times, the smallest first; long words;
 * the fusion loss; all teachers but the one that won most, and the end of its name.
 *
 * @param columns max width of the line.
 */
export function progressLine(progress: Progress, columns: number): string {
  const { step, steps, lmLoss, fusionLoss, tokensPerSecond, eta, stages, fusion } = progress;
  const teachers = Object.entries(fusion.teachers).toSorted(([, a], [, b]) => (b.won ?? 0) - (a.won ?? 0));
  const won = Object.entries(fusion.teachers).map(([name, teacher]) => `${name} ${percent(teacher.won)}`);
  const [best, bestWon] = [teachers[0]?.[0] ?? "", percent(teachers[0]?.[1].won ?? null)];
  const [rate, text] = [Math.round(tokensPerSecond), lmLoss?.toFixed(3) ?? "–"];
  const fused = fusionLoss?.toFixed(3);
  const join = (parts: readonly (string | false | undefined)[]) => parts.filter(Boolean).join(" · ");

  const times = stageTimes(stages);
  const full = (kept: number) =>
    join([
      `step ${step}/${steps}`,
      `loss: text ${text}${fused === undefined ? "" : `, fusion ${fused}`}`,
      `${rate} tokens/s`,
      `${duration(eta)} left`,
      won.length > 0 && `won: ${won.join(", ")}`,
      times.slice(0, kept).join(" "),
    ]);
  const short = (losses: string, of: string) =>
    join([`${step}/${steps}`, `loss ${losses}`, `${rate} tok/s`, `${clock(eta)} left`, of]);
  const lines = [
    ...Array.from({ length: times.length + 1 }, (_, i) => full(times.length - i)),
    short(fused === undefined ? text : `${text}, fusion ${fused}`, won.join(", ")),
    short(text, won.join(", ")),
    short(text, best && `${best} ${bestWon} won`),
  ];
  const fitting = lines.find((line) => Bun.stringWidth(line) <= columns);
  if (fitting !== undefined) return fitting;
  const bare = short(text, "");
  const room = columns - Bun.stringWidth(`${bare} ·  ${bestWon}`);
  const named = `${bare} · ${fit(best, room)} ${bestWon}`;
  return best && room >= 4 && Bun.stringWidth(named) <= columns ? named : fit(bare, columns);
}

/** Writes progress to a stream such as stderr. */
export function progressLines(stream: NodeJS.WriteStream): Listener & { end(): void } {
  const live = stream.isTTY;
  let shown = false;
  let last = -Infinity;
  const started = new Map<string, number>();
  // A terminal may wrap after its last column.
  const room = () => (stream.columns || 200) - 1;
  const clear = () => {
    if (shown) stream.write("\r\x1b[K");
    shown = false;
  };
  return {
    loading(model, fraction) {
      const text = `loading ${model}: ${percent(fraction)}`;
      if (!started.has(model)) started.set(model, performance.now());
      if (performance.now() - started.get(model)! < shortSeconds * 1000) return;
      if (live) {
        clear();
        stream.write(fit(text, room()));
        shown = true;
      } else if (performance.now() - last > quietSeconds * 1000) {
        last = performance.now();
        stream.write(`${text}\n`);
      }
    },
    devices(devices) {
      const models = Object.entries(devices).map(([name, device]) => `${name} on ${device}`);
      stream.write(`${models.join(", ")}\n`);
    },
    evaluation(step, bitsPerByte) {
      clear();
      stream.write(`step ${step}: bits per byte: ${formatBits(bitsPerByte)}\n`);
    },
    step(progress) {
      if (live) {
        clear();
        stream.write(progressLine(progress, room()));
        shown = true;
      } else if (performance.now() - last > quietSeconds * 1000 || progress.step === progress.steps) {
        last = performance.now();
        stream.write(`${progressLine(progress, Infinity)}\n`);
      }
    },
    note(text) {
      clear();
      stream.write(`${text}\n`);
    },
    end: clear,
  };
}

/**
 * The outcome of a run for a person; what was not measured is left out.
 * @param written the folders in `out` that hold the result.
 */
export function report(summary: Summary, out: string, written: readonly string[] = ["model"]): string {
  const { steps, tokens, seconds, tokensPerSecond, bitsPerByte, fusion, skippedRows } = summary;
  const { skippedReasons, notes } = summary;
  const domains = Object.entries(bitsPerByte.start).map(([domain, start]) => {
    const end = bitsPerByte.end[domain];
    const change =
      end === undefined
        ? "before training"
        : `→ ${end.toFixed(4)}  (${((end / start - 1) * 100).toFixed(2)} %)`;
    return `  ${domain.padEnd(16)} ${start.toFixed(4)} ${change}`;
  });
  const each = Object.entries(fusion.teachers).map(
    ([name, { won, aligned, spelled, dropped, tail, nllPerByte }]) =>
      `  ${name.padEnd(28)} won ${percent(won)}, aligned ${percent(aligned)}, spelled ${percent(spelled)}, ` +
      `dropped ${percent(dropped)} and tail ${percent(tail)} of the probability, ${nllPerByte?.toFixed(3) ?? "–"} nats per byte`,
  );
  const more = skippedRows > skippedReasons.length && skippedReasons.length > 0;
  return [
    ...(steps
      ? [`${steps} steps, ${tokens} tokens in ${duration(seconds)}, ${Math.round(tokensPerSecond)} tokens/s`]
      : []),
    ...(domains.length ? ["bits per byte:", ...domains] : []),
    ...(each.length && steps
      ? [`teachers (none at ${percent(fusion.withoutTeacher)} of the positions):`, ...each]
      : []),
    ...(skippedRows
      ? [
          `${skippedRows} rows or files could not be read and were skipped${more ? ", such as" : ""}`,
          ...skippedReasons.map((reason) => `  ${reason}`),
        ]
      : []),
    ...notes,
    summary.finished
      ? written.map((name) => `the ${name} is in ${out}/${name}`).join("\n")
      : steps
        ? "stopped; continue with --resume"
        : "stopped before the first step",
  ].join("\n");
}
