"""Send invoices."""

from shiftwork_core.callbacks import Failure, Job, Retry, callback


@callback("invoices.send")
def send(job: Job) -> dict[str, str]:
    """Send a customer's invoice."""
    if "email" not in job.item:
        raise Failure("the customer has no address")  # fails the request with this error
    if job.item["email"].endswith("@busy.example"):
        raise Retry("the mail server is busy")  # has the job tried again
    job.logger.info("sent to %s", job.item["email"])
    return {job.item["id"]: "sent"}  # merged into the request's extras


@callback("invoices.report")
def report(job: Job) -> dict[str, str]:
    """Say how many were sent."""
    sent = sum(value == "sent" for value in job.extras.values())
    return {"report": f"{sent} of {len(job.params['customers'])} sent"}
