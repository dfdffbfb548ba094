/** Where koffi has nothing for the platform: reports what the package says, and whether core notices a fork all the same. */
import { Module } from "node:module";
import process from "node:process";
import { setImmediate as turn } from "node:timers/promises";
import { currentGeneration } from "@forksafe/core";
import { forkChild } from "../../../../test/support/fork.ts";
import { getpid } from "../../../../test/support/posix-fork.ts";
import { report } from "../../../../test/support/report.ts";

const warnings: unknown[] = [];
process.on("warning", ({ name, message, code }: Error & { code?: string }) => warnings.push({ name, message, code }));
const loader = Module as unknown as { _load(request: string, ...rest: unknown[]): unknown };
const { _load } = loader;
getpid(); // the harness forks by koffi, and has it now
loader._load = (request, ...rest) => {
	if (request === "koffi") throw new Error("no native library for this platform");
	return _load.call(Module, request, ...rest);
};
const { unavailableBecause } = await import("../../src/index.ts");
const child = await forkChild("child", () => currentGeneration());
const inChild = await child.result;
await turn(); // a child may end before a warning, which takes a tick, is emitted
report({ unavailableBecause, inChild, warnings });
