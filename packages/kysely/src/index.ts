export { ForkSafePostgresDialect, type ForkSafePostgresDialectConfig } from "./dialect.ts";
