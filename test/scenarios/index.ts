import type { Face } from "../faces/face.ts";
import { knexPostgres } from "../faces/knex.ts";
import { knexMysql } from "../faces/knex-mysql.ts";
import { kyselyOwnDialect, kyselyPostgres } from "../faces/kysely.ts";
import { kyselyMysql } from "../faces/kysely-mysql.ts";
import { commonScenarios } from "./common.ts";
import { hardForks } from "./hard-forks.ts";
import { knexScenarios } from "./knex.ts";
import { kyselyScenarios } from "./kysely.ts";
import { postgresScenarios } from "./postgres.ts";
import type { Scenario } from "./scenario.ts";

/** All scenarios of a face: those that every pool goes through, and those that need what only this one has. */
export function scenariosFor(face: Face): readonly Scenario[] {
	return [...commonScenarios, ...hardForks, ...ownScenarios(face)];
}

function ownScenarios({ library, isProtected }: Face): readonly Scenario[] {
	switch (library) {
		case "core":
			return [];
		case "pg":
			return postgresScenarios;
		case "knex":
			return [...postgresScenarios, ...knexScenarios(isProtected, knexPostgres)];
		case "knex-mysql":
			return knexScenarios(isProtected, knexMysql);
		case "kysely":
			return [...postgresScenarios, ...kyselyScenarios(isProtected, kyselyPostgres)];
		case "kysely-own":
			return [...postgresScenarios, ...kyselyScenarios(isProtected, kyselyOwnDialect)];
		case "kysely-mysql":
			return kyselyScenarios(isProtected, kyselyMysql);
	}
}
