/** @file The command `bun run docs`: writes docs/http.md. */
import { document } from "./document.ts";

await Bun.write(new URL("../docs/http.md", import.meta.url), document());
