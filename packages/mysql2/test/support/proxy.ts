import { RecordingProxy } from "../../../../test/support/recording-proxy.ts";
import { mariadbUrl } from "../../../../test/support/server-urls.ts";

/** In front of the MariaDB of this run. */
export class MariadbProxy extends RecordingProxy {
	constructor() {
		super(mariadbUrl("TCP"), true);
	}

	/** The url of the database through this proxy. */
	urlOf(transport: "TCP" | "TLS" = "TCP"): string {
		return this.through(mariadbUrl(transport));
	}
}
