/**
 * The contract through every pool of ours over TCP, and through pg's over TLS; with `afterFork()` through core and pg's. The others:
 * test/proofs. FORKSAFE_FACES, names divided by commas, leaves it at those.
 */
import process from "node:process";
import { faces } from "../faces/index.ts";
import { describeScenarios } from "../scenarios/describe.ts";
import { isPool, isUsual, subjectsOf } from "../scenarios/subjects.ts";

const wanted = process.env["FORKSAFE_FACES"] || undefined;
const chosen = faces.filter(({ name }) => wanted === undefined || wanted.split(",").includes(name));
if (chosen.length === 0) throw new Error(`FORKSAFE_FACES names none of ${faces.map(({ name }) => name).join(", ")}: ${wanted}`);
const subjects = subjectsOf(chosen).filter(isUsual);
describeScenarios(
	"a fork",
	subjects.map((subject) => (isPool(subject) ? subject : { ...subject, hook: false })),
);
