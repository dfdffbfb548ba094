import type { Face } from "../faces/face.ts";
import { knexPostgres } from "../faces/knex.ts";
import { knexMysql } from "../faces/knex-mysql.ts";
import { kyselyOwnDialect, kyselyPostgres } from "../faces/kysely.ts";
import { kyselyMysql } from "../faces/kysely-mysql.ts";
import { commonScenarios } from "./common.ts";
import { knexScenarios } from "./knex.ts";
import { kyselyScenarios } from "./kysely.ts";
import { postgresScenarios } from "./postgres.ts";
import type { Scenario } from "./scenario.ts";

/** All scenarios of a face: those that every pool goes through, and those that need what only this one has. */
export function scenariosFor({ library, isProtected }: Face): readonly Scenario[] {
	switch (library) {
		case "core":
			return commonScenarios;
		case "pg":
			return [...commonScenarios, ...postgresScenarios];
		case "knex":
			return [...commonScenarios, ...postgresScenarios, ...knexScenarios(isProtected, knexPostgres)];
		case "knex-mysql":
			return [...commonScenarios, ...knexScenarios(isProtected, knexMysql)];
		case "kysely":
			return [...commonScenarios, ...postgresScenarios, ...kyselyScenarios(isProtected, kyselyPostgres)];
		case "kysely-own":
			return [...commonScenarios, ...postgresScenarios, ...kyselyScenarios(isProtected, kyselyOwnDialect)];
		case "kysely-mysql":
			return [...commonScenarios, ...kyselyScenarios(isProtected, kyselyMysql)];
	}
}
