/** @file Markdown as the formatter writes it, for the pages in docs/ that are generated. */

/**
 * A table whose columns are padded to one width each.
 * @param rows the header first; all of one length.
 */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const [head, ...lines] = cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column])));
  const rule = widths.map((width) => "-".repeat(width));
  return [head, rule, ...lines].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** A JSON value as inline code. */
export const code = (value: unknown): string => `\`${JSON.stringify(value)}\``;
