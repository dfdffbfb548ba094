/** Imports the sentinel while a start-up snapshot is built. */
import { startupSnapshot } from "node:v8";
import { currentGeneration } from "@forksafe/core";
import { reportInSnapshot as report } from "../../../../test/support/report-in-snapshot.ts";
import { unavailableBecause } from "../../src/index.ts";

startupSnapshot.setDeserializeMainFunction(() => report({ generation: currentGeneration(), unavailableBecause }));
