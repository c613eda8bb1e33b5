/** @file The part of the command `bun run docs` that writes docs/configuration.md. */
import { configurationPage } from "../config/document.ts";

await Bun.write(new URL("../../docs/configuration.md", import.meta.url), configurationPage());
