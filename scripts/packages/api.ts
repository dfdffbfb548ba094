/** Writes the API reports of all packages anew, from what was built: `api.ts`. What has changed is for a human to look at. */
import process from "node:process";
import { apiReports } from "./api-report.ts";
import { workspacePackages } from "./workspace-package.ts";

const complaints = workspacePackages().flatMap((each) => apiReports(each, "write"));
for (const complaint of complaints) console.error(complaint);
process.exitCode = complaints.length === 0 ? 0 : 1;
