import { useEffect, useState } from "preact/hooks";
import { api, messageOf, type Report } from "./api";
import { percent, Problem } from "./parts";

export function Reports() {
  const [reports, setReports] = useState<Report[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    api.reports().then(setReports, (error) => setProblem(messageOf(error)));
  }, []);
  return (
    <>
      <h1>Reports</h1>
      <Problem text={problem} />
      {reports?.length === 0 ? <p class="hint">None yet: <code>imagerank eval --data DIR --reward NAME</code> writes one.</p> : null}
      <ul class="reports">
        {reports?.map((report) => (
          <li key={report.name}>
            <a href={`/reports/${encodeURIComponent(report.name)}`}>{report.name}</a>
            <span class="hint">
              {report.pair_accuracy === null ? null : `pairs right ${percent(report.pair_accuracy)} · `}
              {report.warnings ? `${report.warnings} ${report.warnings === 1 ? "warning" : "warnings"} · ` : null}
              {new Date(report.written_ms).toLocaleString()}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}
