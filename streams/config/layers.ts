/** @file Settings as written, in a file or an option, with the location of each. */
import { existsSync, readFileSync } from "node:fs";
import {
  LineCounter,
  type Node,
  type ParsedNode,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseDocument,
} from "yaml";
import { UserError } from "../../src/cli/user-error.ts";

export type Tree = { [key: string]: unknown };
export type Path = readonly PropertyKey[];

/** Where a setting is written. */
export interface Location {
  /** File, line and column, or the option. */
  readonly text: string;
  /** Characters from the start of the file; −1 is unknown. */
  readonly offset: number;
}

/** The settings of one file or option. */
export interface Layer {
  readonly tree: Tree;
  /** Where the setting at a path is written, or else its nearest parent. */
  readonly locate: (path: Path) => Location;
}

export const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The value at a path, undefined if there is none. */
export function valueAt(tree: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<PropertyKey, unknown>)[key]
        : undefined,
    tree,
  );
}

/** Lays settings over others. Settings of another kind replace all below them: kinds share no keys. */
export function merge(base: Tree, over: Tree): Tree {
  if (over.kind !== undefined && over.kind !== base.kind) return over;
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isTree(value) && isTree(below) ? merge(below, value) : value;
  }
  return merged;
}

/** Parses YAML; `faults` are the parser's messages with line and column. */
function parse(text: string) {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const at = (offset: number): [number, number] => {
    const { line, col } = lines.linePos(offset);
    return [line, col];
  };
  const faults = document.errors.map(({ message, pos: [start] }) => ({ message, at: at(start) }));
  let value: unknown;
  if (faults.length === 0)
    try {
      value = document.toJS();
    } catch (error) {
      faults.push({ message: (error as Error).message, at: [1, 1] });
    }
  return { document, faults, value, at };
}

/** An option's value, read as YAML. @throws UserError naming the option. */
export function parseValue(text: string, option: string): unknown {
  const { faults, value } = parse(text);
  if (faults.length === 0) return value;
  throw new UserError(`${option}: the value is not YAML: ${faults[0].message}`);
}

/** Reads a YAML file. @throws UserError with line and column of every syntax error. */
export function readLayer(path: string): Layer {
  if (!existsSync(path)) throw new UserError(`${path}: not found; expected a configuration file`);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new UserError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  const { document, faults, value: tree, at } = parse(text);
  if (faults.length)
    throw new UserError(
      faults.map(({ message, at }) => `${path}:${at.join(":")}: not YAML: ${message}`).join("\n"),
    );
  if (!isTree(tree)) throw new UserError(`${path}: expected keys such as target, sources, data and train`);

  const locate = (steps: Path): Location => {
    let node: unknown = document.contents;
    let offset = -1;
    for (const step of steps) {
      if (isAlias(node)) node = node.resolve(document);
      const pair = isMap(node)
        ? node.items.find(({ key }) => isScalar(key) && `${key.value}` === String(step))
        : undefined;
      const found = isPair(pair) ? pair.key : isSeq(node) ? node.items[Number(step)] : undefined;
      const range = (found as ParsedNode | undefined)?.range;
      if (!range) break;
      offset = range[0];
      node = isPair(pair) ? pair.value : (found as Node);
    }
    return offset < 0 ? { text: path, offset } : { text: [path, ...at(offset)].join(":"), offset };
  };
  return { tree, locate };
}
