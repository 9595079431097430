// The TypeScript SDK's client against `memkit mcp`: node mcp_client.cjs '{"command", "args", "env"}' or a URL.
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

async function main(given) {
  const transport = given.startsWith("http")
    ? new StreamableHTTPClientTransport(new URL(given))
    : new StdioClientTransport(JSON.parse(given));
  const client = new Client({ name: "independent", version: "1" });
  await client.connect(transport);
  const call = (name, given) => client.callTool({ name, arguments: given });
  const seen = {
    server: client.getServerVersion().name,
    tools: (await client.listTools()).tools.map((tool) => tool.name),
    added: await call("add_memory", { text: "Ada sails." }),
    found: await call("search_memories", { query: "Who sails?" }),
    refused: await call("search_memories", { query: "x", user_id: "bob" }),
    unknown: await call("remember", { text: "x" }),
    resources: (await client.listResources()).resources.map((one) => one.uri),
    templates: (await client.listResourceTemplates()).resourceTemplates.map((one) => one.uriTemplate),
    read: (await client.readResource({ uri: "memory://memories" })).contents[0].text,
    prompts: (await client.listPrompts()).prompts.map((one) => one.name),
    prompt: (await client.getPrompt({ name: "recall", arguments: { topic: "sailing" } })).messages[0].content.text,
  };
  await client.close();
  console.log(JSON.stringify(seen));
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
