/** ORMs that take a Pool of pg. What is done with each is in test/support/consumer-program.ts. */
import { describeConsumers } from "../../../support/consumer-suite.ts";

const INHERITED = "InheritedConnectionError ERR_FORKSAFE_INHERITED";
const PROCESS_CHANGED = "ProcessChangedError ERR_FORKSAFE_PROCESS_CHANGED";

describeConsumers([
	{
		name: "Drizzle",
		program: new URL("../programs/drizzle.ts", import.meta.url),
		refused: {
			open: `DrizzleQueryError < ${INHERITED}`,
			inFlight: `DrizzleQueryError < ${INHERITED}`,
			waiting: `DrizzleQueryError < ${PROCESS_CHANGED}`,
		},
	},
]);
