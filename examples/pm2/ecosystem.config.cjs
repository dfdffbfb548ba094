/** What PM2 starts: two servers that share a port. Its manual: https://pm2.keymetrics.io/docs/usage/application-declaration/ */
const { join } = require("node:path");

module.exports = {
	apps: [
		{
			name: "example",
			script: join(__dirname, "server.ts"),
			exec_mode: "cluster",
			instances: 2,
			// The new one takes over when it says that it is ready, not when it has been started.
			wait_ready: true,
			listen_timeout: 10_000,
			// Without kill_timeout: 1600 ms after its SIGINT, PM2 kills. `shutdown_with_message: true` sends "shutdown" instead.
		},
	],
};
