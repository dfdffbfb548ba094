import { stripTypeScriptTypes } from "node:module";

/** What Node itself does with TypeScript: jest has to be told. */
export default { process: (source) => ({ code: stripTypeScriptTypes(source) }) };
