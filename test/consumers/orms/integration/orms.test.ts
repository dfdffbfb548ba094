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
	{
		name: "Prisma",
		program: new URL("../programs/prisma.ts", import.meta.url),
		refused: {
			open: "PrismaClientKnownRequestError ERR_FORKSAFE_INHERITED",
			inFlight: "PrismaClientKnownRequestError ERR_FORKSAFE_INHERITED",
			waiting: "PrismaClientKnownRequestError ERR_FORKSAFE_PROCESS_CHANGED",
		},
	},
	{
		name: "TypeORM",
		program: new URL("../programs/typeorm.ts", import.meta.url),
		refused: {
			// TypeORM releases whatever ran on a connection that tells of an error.
			open: "QueryRunnerProviderAlreadyReleasedError",
			inFlight: "QueryFailedError ERR_FORKSAFE_INHERITED",
			waiting: PROCESS_CHANGED,
		},
	},
	{
		name: "MikroORM",
		program: new URL("../programs/mikro-orm.ts", import.meta.url),
		refused: {
			open: "DriverException ERR_FORKSAFE_INHERITED",
			inFlight: "DriverException ERR_FORKSAFE_INHERITED",
			waiting: PROCESS_CHANGED,
		},
	},
]);
