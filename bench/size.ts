/** @file Lines of code per folder, and the longest files: `bun run size`. */
const root = new URL("..", import.meta.url).pathname;
const folders = new Map<string, { files: number; lines: number }>();
const longest: [number, string][] = [];
for (const file of [...new Bun.Glob("{src,streams,server,test,bench}/**/*.ts").scanSync(root)].sort()) {
  const lines = (await Bun.file(`${root}/${file}`).text()).split("\n").length - 1;
  const folder = file
    .split("/")
    .slice(0, file.startsWith("src/") ? 2 : 1)
    .join("/");
  const sum = folders.get(folder) ?? { files: 0, lines: 0 };
  folders.set(folder, { files: sum.files + 1, lines: sum.lines + lines });
  longest.push([lines, file]);
}
for (const [folder, { files, lines }] of folders)
  console.log(`${folder.padEnd(16)} ${String(files).padStart(3)} files ${String(lines).padStart(6)} lines`);
console.log("longest:");
for (const [lines, file] of longest.sort(([a], [b]) => b - a).slice(0, 5)) console.log(`  ${lines}  ${file}`);
