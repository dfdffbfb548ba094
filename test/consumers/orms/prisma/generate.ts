/**
 * `prisma generate`, without the CLI: that is 200 MB, and wants to download an engine that this needs not. The packages say that
 * they are for Prisma's own use, so a new version may want this file changed.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

// As modules they do not load: their imports lack extensions.
const require = createRequire(import.meta.url);
const { PrismaClientTsGenerator } = require("@prisma/client-generator-ts") as typeof import("@prisma/client-generator-ts");
const { getGenerators } = require("@prisma/internals") as typeof import("@prisma/internals");

const [generator] = await getGenerators({
	schemaPath: fileURLToPath(new URL("schema.prisma", import.meta.url)),
	registry: { "prisma-client": { type: "in-process", generator: new PrismaClientTsGenerator() } },
	skipDownload: true,
	cliCommand: "generate",
});
await generator?.generate();
generator?.stop();
