/** @file Columns of parquet files: lists them, resolves paths to them, prunes the others. */
import { type FileMetaData, type SchemaElement, type SchemaTree, parquetSchema } from "hyparquet";
import { getPhysicalColumns, isListLike, isMapLike } from "hyparquet/src/schema.js";

/** Whether a node's values can only be assembled from all of its children. */
const isIndivisible = (node: SchemaTree) =>
  isListLike(node) ||
  isMapLike(node) ||
  node.element.logical_type?.type === "VARIANT" ||
  !node.children.length;

/** Resolves a path below a node to the steps from its value; undefined if there is no such path. */
function resolvePath(node: SchemaTree, path: readonly string[]): string[] | undefined {
  if (path.length === 0) return [];
  const [name, ...rest] = path;
  if (isListLike(node)) {
    const [list] = node.children;
    const element = list.children.length === 1 ? list.children[0] : list;
    const resolveIn = (path: readonly string[]) => resolvePath(element, path);
    if (/^\d+$/.test(name)) {
      const steps = resolveIn(rest);
      return steps && [name, ...steps];
    }
    const physical = element.path.slice(node.path.length);
    return physical.every((part, i) => path[i] === part)
      ? resolveIn(path.slice(physical.length))
      : resolveIn(path);
  }
  // The keys of maps, variants and JSON are in the values, not in the schema.
  const isJson = node.element.converted_type === "JSON" || node.element.logical_type?.type === "JSON";
  if (isMapLike(node) || node.element.logical_type?.type === "VARIANT" || isJson) return [...path];
  const child = node.children.find(({ element }) => element.name === name);
  const steps = child && resolvePath(child, rest);
  return steps && [name, ...steps];
}

/** Resolves a column, by name (which may contain dots) or by path, to the steps from a row to its values. */
export function resolveColumn(metadata: FileMetaData, column: string): string[] | undefined {
  const root = parquetSchema(metadata);
  if (root.children.some(({ element }) => element.name === column)) return [column];
  return resolvePath(root, column.split("."));
}

export const listColumns = (metadata: FileMetaData): string[] => getPhysicalColumns(parquetSchema(metadata));

/** Removes from the metadata the columns that are not read. @param wanted the steps to each that is */
export function prune(metadata: FileMetaData, wanted: readonly (readonly string[])[]): FileMetaData {
  const kept = new Set<string>();
  const keep = (node: SchemaTree, paths: readonly (readonly string[])[]): SchemaElement[] => {
    const whole = isIndivisible(node) || paths.some((path) => path.length === 0);
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
