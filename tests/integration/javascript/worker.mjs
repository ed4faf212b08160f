// A worker as its authors wrote it for Conductor: its JavaScript SDK, and nothing of Shiftwork's.
// Its task type and its own name are the arguments. It ends at SIGTERM.
import {
  getTaskContext,
  NonRetryableException,
  OrkesClients,
  TaskHandler,
  worker,
} from "@io-orkes/conductor-javascript";

const [taskDefName, workerId] = process.argv.slice(2);

async function act({ inputData, pollCount, retryCount }) {
  const { what, number } = inputData.item ?? inputData;
  const context = getTaskContext();
  context.addLog(`${what} begins`);
  if (what === "fail once" && retryCount === 0) throw new Error("no ink");
  if (what === "fail for good") throw new NonRetryableException("no printer");
  if (what === "take turns" && pollCount < 3) {
    return {
      status: "IN_PROGRESS",
      callbackAfterSeconds: 1,
      outputData: { [`turn_${pollCount}`]: true },
    };
  }
  if (what === "take long") await new Promise((done) => setTimeout(done, 1000 * number));
  return { status: "COMPLETED", outputData: { done: what, number } };
}

worker({
  taskDefName,
  workerId,
  concurrency: 4,
  pollInterval: 100,
  leaseExtendEnabled: true,
})(act);

const clients = await OrkesClients.from();
const handler = new TaskHandler({ client: clients.getClient() });
await handler.startWorkers();
process.once("SIGTERM", async () => {
  await handler.stopWorkers();
  process.exit();
});
