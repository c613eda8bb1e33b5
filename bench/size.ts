/** @file Lines of code per folder, and the longest files: `bun run size`. */
import { measureFiles } from "./house.ts";

const lengths = await measureFiles(["src", "streams", "server", "test", "bench"]);
const folders = new Map<string, { files: number; lines: number }>();
for (const { file, lines } of lengths) {
  const folder = file
    .split("/")
    .slice(0, file.startsWith("src/") ? 2 : 1)
    .join("/");
  const sum = folders.get(folder) ?? { files: 0, lines: 0 };
  folders.set(folder, { files: sum.files + 1, lines: sum.lines + lines });
}
for (const [folder, { files, lines }] of [...folders].sort(([a], [b]) => (a < b ? -1 : 1)))
  console.log(`${folder.padEnd(16)} ${String(files).padStart(3)} files ${String(lines).padStart(6)} lines`);
console.log("longest:");
for (const { file, lines } of lengths.slice(0, 5)) console.log(`  ${lines}  ${file}`);
