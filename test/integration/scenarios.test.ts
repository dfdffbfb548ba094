/** The contract through every pool of ours over TCP, and over all transports where they are opened. The others: test/proofs. */
import { faces } from "../faces/index.ts";
import { describeScenarios } from "../scenarios/describe.ts";
import { isUsual, subjectsOf } from "../scenarios/subjects.ts";

describeScenarios(subjectsOf(faces).filter(isUsual));
