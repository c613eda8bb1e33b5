/** @file Settings as they were written: in a file, in an option. Each tells where it stands. */
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

/** Where something stands, and how far it is from the start of its file. */
export interface Place {
  readonly text: string;
  readonly offset: number;
}

/** Settings from one place, and where in it those at a path are, or else what is nearest above them. */
export interface Layer {
  readonly tree: Tree;
  readonly place: (path: Path) => Place;
}

export const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function valueAt(tree: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<PropertyKey, unknown>)[key]
        : undefined,
    tree,
  );
}

export function merge(base: Tree, over: Tree): Tree {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isTree(value) && isTree(below) ? merge(below, value) : value;
  }
  return merged;
}

/** All that is wrong with YAML, and where, in the words of its reader. */
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

/** The value of an option, read as YAML. @throws UserError naming the option. */
export function parseValue(text: string, option: string): unknown {
  const { faults, value } = parse(text);
  if (faults.length === 0) return value;
  throw new UserError(`${option}: the value is not YAML: ${faults[0].message}`);
}

/** @throws UserError naming the file, with line and column of all that is not YAML. */
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

  const place = (steps: Path): Place => {
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
  return { tree, place };
}
