/** @file The command `bun run evaluate`. */
import { resolve } from "node:path";
import { command } from "../../src/cli/command.ts";
import {
  type Options,
  describe,
  helpOption,
  parse,
  parseChoice,
  parseWholeNumber,
} from "../../src/cli/options.ts";
import { UserError, asUserError } from "../../src/cli/user-error.ts";
import { dataFiles } from "../../src/data/files.ts";
import { devices } from "../../src/onnx/devices.ts";
import { onnxDtypes } from "../../src/weights/onnx-files.ts";
import { type Measurement, measureModel, readQuestions } from "../run/measure-model.ts";

const options = {
  model: { type: "string", value: "MODEL", help: "a folder or an id of the hub" },
  against: { type: "string", value: "MODEL", help: "another model, on the same text" },
  text: { type: "string", value: "COLUMN", default: "text", help: "column of the text" },
  domain: { type: "string", value: "COLUMN", help: "column of a text's domain; each is measured on its own" },
  bytes: { type: "string", value: "N", default: "200000", help: "bytes of text per domain" },
  choices: {
    type: "string",
    value: "FILE",
    help: 'questions as JSONL: {"question": "…", "choices": ["…", "…"], "answer": 0 or the choice}',
  },
  device: { type: "string", value: "DEVICE", default: "auto", help: devices.join(", ") },
  dtype: { type: "string", value: "DTYPE", help: `${onnxDtypes.join(", ")}; without it: unquantized` },
  json: { type: "boolean", default: false, help: "one JSON object on stdout" },
  help: helpOption,
} as const satisfies Options;

const help = `Measures a model on text that it was not trained on: bits per byte of each domain, fewer are better,
and how many multiple-choice questions it answers.

  bun run evaluate --model MODEL [FILES] [options]   without FILES: the demo's validation split

FILES are parquet, JSONL or text.

${describe(options)}

  bun run evaluate --model runs/demo/model --against demo/models/pocket-llama`;

/** Progress as one line on a terminal. */
function showProgress(model: string, fraction: number, tokensPerSecond: number): void {
  if (!process.stderr.isTTY) return;
  const line = `${model}: ${Math.round(fraction * 100)} %, ${Math.round(tokensPerSecond)} tokens/s`;
  process.stderr.write(fraction < 1 ? `\r\x1b[K${line}` : "\r\x1b[K");
}

/** A figure of one model, against the other's. @param sign 1 if larger is better. */
function formatRow(name: string, value: number, other: number | undefined, sign: 1 | -1): string {
  const row = `${name.padEnd(24)} ${value.toFixed(4)}`;
  if (other === undefined) return row;
  const verdict = value === other ? "equal" : (value - other) * sign > 0 ? "better" : "worse";
  return `${row}  against ${other.toFixed(4)}  ${verdict} by ${Math.abs(value - other).toFixed(4)}`;
}

function formatResults([first, other]: readonly Measurement[]): string {
  const rows = Object.entries(first.bitsPerByte).map(([domain, bits]) =>
    formatRow(`${domain}, bits per byte`, bits, other?.bitsPerByte[domain], -1),
  );
  if (first.choices)
    rows.push(
      formatRow("choices, acc", first.choices.acc, other?.choices?.acc, 1),
      formatRow("choices, acc_norm", first.choices.accNorm, other?.choices?.accNorm, 1),
    );
  return rows.join("\n");
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args, options, { allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (!values.model) throw new UserError("expected --model MODEL (--help shows how)");
  const bytesPerDomain = parseWholeNumber("--bytes", values.bytes);
  const device = parseChoice("--device", devices, values.device);
  const dtype = values.dtype === undefined ? undefined : parseChoice("--dtype", onnxDtypes, values.dtype);
  const hasFiles = positionals.length > 0;
  const given = hasFiles ? positionals : [resolve(import.meta.dir, "../../demo/data/validation.parquet")];
  const files = dataFiles(given.map((path) => resolve(path)));
  const domain = values.domain ?? (hasFiles ? undefined : "domain");
  const evaluate = { files, text: values.text, domain, every: 1, bytesPerDomain };
  const questions = values.choices === undefined ? undefined : await readQuestions(values.choices);
  const measure = (model: string) => {
    const onProgress = (fraction: number, rate: number) => showProgress(model, fraction, rate);
    return asUserError(() => measureModel(model, { dtype, device, evaluate, questions, onProgress }));
  };
  const results = [await measure(values.model)];
  if (values.against) results.push(await measure(values.against));
  console.log(values.json ? JSON.stringify(results) : formatResults(results));
  return 0;
}

await command("evaluate", main);
