/** @file What a person sees while a run goes on: one line on a terminal, now and then a line elsewhere. */
import type { Listener, Progress } from "./journal.ts";
import type { Summary } from "./run.ts";

/** Seconds between lines where the output is not a terminal. */
const quietSeconds = 10;
/** Models that are loaded sooner are not worth a word. */
const shortSeconds = 1;

const percent = (share: number | null) => (share === null ? "–" : `${Math.round(share * 100)} %`);

function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** Each stage's share of the time that all of them worked, the largest first. */
function shares(stages: Progress["stages"]): string {
  const seconds = Object.entries(stages).map(([name, stage]) => [name, stage.seconds] as const);
  const total = seconds.reduce((sum, [, own]) => sum + own, 0) || 1;
  const sorted = seconds.toSorted(([, a], [, b]) => b - a).filter(([, own]) => own / total >= 0.005);
  return sorted.map(([name, own]) => `${name} ${percent(own / total)}`).join(" ");
}

function line(progress: Progress): string {
  const { step, steps, lmLoss, fusionLoss, tokensPerSecond, eta, stages, fusion: sofar } = progress;
  const won = Object.entries(sofar.teachers).map(([name, teacher]) => `${name} ${percent(teacher.won)}`);
  const fusion = fusionLoss === undefined ? "" : `, fusion ${fusionLoss.toFixed(3)}`;
  return [
    `step ${step}/${steps}`,
    `loss: text ${lmLoss?.toFixed(3) ?? "–"}${fusion}`,
    `${Math.round(tokensPerSecond)} tokens/s`,
    `${duration(eta)} left`,
    ...(won.length ? [`won: ${won.join(", ")}`] : []),
    shares(stages),
  ].join(" · ");
}

const bits = (values: Readonly<Record<string, number>>) =>
  Object.entries(values)
    .map(([domain, value]) => `${domain} ${value.toFixed(4)}`)
    .join(", ");

/** Writes progress to a stream such as stderr. */
export function progressLines(stream: NodeJS.WriteStream): Listener & { end(): void } {
  const live = stream.isTTY;
  let shown = false;
  let last = -Infinity;
  const began = new Map<string, number>();
  const clear = () => {
    if (shown) stream.write("\r\x1b[K");
    shown = false;
  };
  return {
    loading(model, share) {
      const text = `loading ${model}: ${percent(share)}`;
      if (!began.has(model)) began.set(model, performance.now());
      if (performance.now() - began.get(model)! < shortSeconds * 1000) return;
      if (live) {
        clear();
        stream.write(text.slice(0, (stream.columns || 200) - 1));
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
      stream.write(`step ${step}: bits per byte: ${bits(bitsPerByte)}\n`);
    },
    step(progress) {
      if (live) {
        clear();
        stream.write(line(progress).slice(0, (stream.columns || 200) - 1));
        shown = true;
      } else if (performance.now() - last > quietSeconds * 1000 || progress.step === progress.steps) {
        last = performance.now();
        stream.write(`${line(progress)}\n`);
      }
    },
    note(text) {
      clear();
      stream.write(`${text}\n`);
    },
    end: clear,
  };
}

/** What a run came to, for a person. */
export function report(summary: Summary, out: string): string {
  const { steps, tokens, seconds, tokensPerSecond, bitsPerByte, fusion, skippedRows } = summary;
  const domains = Object.entries(bitsPerByte.end).map(([domain, end]) => {
    const start = bitsPerByte.start[domain];
    return `  ${domain.padEnd(16)} ${start.toFixed(4)} → ${end.toFixed(4)}  (${((end / start - 1) * 100).toFixed(2)} %)`;
  });
  const each = Object.entries(fusion.teachers).map(
    ([name, { won, aligned, spelled, dropped, tail, nllPerByte }]) =>
      `  ${name.padEnd(28)} won ${percent(won)}, aligned ${percent(aligned)}, spelled ${percent(spelled)}, ` +
      `dropped ${percent(dropped)} and tail ${percent(tail)} of the probability, ${nllPerByte?.toFixed(3) ?? "–"} nats per byte`,
  );
  return [
    `${steps} steps, ${tokens} tokens in ${duration(seconds)}, ${Math.round(tokensPerSecond)} tokens/s`,
    ...(domains.length ? ["bits per byte:", ...domains] : []),
    ...(each.length
      ? [`teachers (none at ${percent(fusion.withoutTeacher)} of the positions):`, ...each]
      : []),
    ...(skippedRows ? [`${skippedRows} rows or files could not be read and were left out`] : []),
    summary.finished ? `the model is in ${out}/model` : `stopped; go on with --resume`,
  ].join("\n");
}
