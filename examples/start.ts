/** `start.ts FILE`: runs a program with the PostgreSQL of DATABASE_URL, else with one of its own that ends with it. */
import { spawn } from "node:child_process";
import process from "node:process";
import { startServer } from "../scripts/demo/server.ts";

const server = await startServer();
console.log(server.description);
const program = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(2)], {
	env: { ...process.env, DATABASE_URL: server.url },
	stdio: "inherit",
});
process.on("SIGINT", () => program.kill("SIGINT"));
process.on("SIGTERM", () => program.kill("SIGTERM"));
program.once("exit", (code) => {
	process.exitCode = code ?? 1;
	void server.stop();
});
