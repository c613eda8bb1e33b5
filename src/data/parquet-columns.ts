/** @file Columns of parquet files by path: which there are, and where the values of one are. */
import { type FileMetaData, type SchemaElement, type SchemaTree, parquetSchema } from "hyparquet";
import { getPhysicalColumns, isListLike, isMapLike } from "hyparquet/src/schema.js";

/** Whether the values below are put together in a way that needs all of them. */
const isWhole = (node: SchemaTree) =>
  isListLike(node) ||
  isMapLike(node) ||
  node.element.logical_type?.type === "VARIANT" ||
  !node.children.length;

/** The steps from a row to the values of a path below a node; undefined where there is none. */
function stepsBelow(node: SchemaTree, path: readonly string[]): string[] | undefined {
  if (path.length === 0) return [];
  const [name, ...rest] = path;
  if (isListLike(node)) {
    const [list] = node.children;
    const element = list.children.length === 1 ? list.children[0] : list;
    const below = (inside: readonly string[]) => stepsBelow(element, inside);
    if (/^\d+$/.test(name)) {
      const steps = below(rest);
      return steps && [name, ...steps];
    }
    const physical = element.path.slice(node.path.length);
    return physical.every((part, i) => path[i] === part) ? below(path.slice(physical.length)) : below(path);
  }
  // Keys of a map and of JSON are in the values.
  const isJson = node.element.converted_type === "JSON" || node.element.logical_type?.type === "JSON";
  if (isMapLike(node) || node.element.logical_type?.type === "VARIANT" || isJson) return [...path];
  // A name may have points in it.
  const child = node.children.find(({ element }) => element.name === name);
  const steps = child && stepsBelow(child, rest);
  return steps && [name, ...steps];
}

/** Where a column's values are in a row: by its name, points in it included, or by its path. */
export function resolveColumn(metadata: FileMetaData, column: string): string[] | undefined {
  const root = parquetSchema(metadata);
  if (root.children.some(({ element }) => element.name === column)) return [column];
  return stepsBelow(root, column.split("."));
}

export const listColumns = (metadata: FileMetaData): string[] => getPhysicalColumns(parquetSchema(metadata));

/** The metadata without the columns that nobody asks for. @param wanted steps to each that is. */
export function prune(metadata: FileMetaData, wanted: readonly (readonly string[])[]): FileMetaData {
  const kept = new Set<string>();
  const keep = (node: SchemaTree, paths: readonly (readonly string[])[]): SchemaElement[] => {
    const whole = isWhole(node) || paths.some((path) => path.length === 0);
    if (!node.children.length) kept.add(JSON.stringify(node.path));
    const children = node.children.map((child) => {
      const below = paths.filter(([name]) => name === child.element.name).map(([, ...rest]) => rest);
      return whole ? keep(child, [[]]) : below.length ? keep(child, below) : [];
    });
    const num_children = children.filter(({ length }) => length).length;
    return [node.children.length ? { ...node.element, num_children } : node.element, ...children.flat()];
  };
  const schema = keep(parquetSchema(metadata), wanted);
  const row_groups = metadata.row_groups.map((group) => ({
    ...group,
    columns: group.columns.filter(
      ({ meta_data }) => meta_data && kept.has(JSON.stringify(meta_data.path_in_schema)),
    ),
  }));
  return { ...metadata, schema, row_groups };
}
