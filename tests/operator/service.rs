//! The units of `deploy/` under systemd: restarts, kills, the watchdog, and little memory.

use crate::on_machine;

/// Installs as the operator's page does, with these lines added to the unit.
fn installed(added: &str) -> String {
    format!(
        "install -D -m 755 target/release/upbeat /usr/local/bin/upbeat
install -D -m 644 -t /etc/systemd/system deploy/upbeat.service deploy/upbeat.socket deploy/upbeat-admin.socket
mkdir -p /etc/systemd/system/upbeat.service.d
printf '[Service]\\n{added}' > /etc/systemd/system/upbeat.service.d/test.conf
systemctl daemon-reload
systemctl start upbeat.socket upbeat-admin.socket upbeat.service
"
    )
}

#[test]
fn service_is_restarted_killed_reloaded_and_watched_and_nobody_is_refused() {
    let script = installed("") + "exec python3 restarts.py\n";
    let Some(text) = on_machine(180, &script) else { return };
    eprintln!("{text}");
    let good = text.lines().filter(|line| line.starts_with("ok: ")).count();
    assert_eq!(good, 7, "{text}");
}

#[test]
fn server_with_256_mib_is_filled_and_goes_on() {
    let script = "trap 'journalctl -u upbeat --no-pager | tail -n 20' ERR\n".to_owned()
        + &installed("MemoryMax=256M\\nMemorySwapMax=0\\n")
        + r#"
full=
for body in $(seq 0 39); do
    seq $((body * 40000)) $((body * 40000 + 39999)) | awk '{
        printf "{\"type\":\"play\",\"event_id\":%d,\"customer_id\":%d,\"track_id\":7,\"time\":\"2026-11-26T12:00:00\",\"mobile\":true}\n", $1, $1
    }' > /tmp/body
    status=$(curl -sS -o /tmp/answer -w '%{http_code}' http://127.0.0.1:8080/events -H 'content-type: application/x-ndjson' --data-binary @/tmp/body)
    if [ "$status" = 503 ]; then full=$body; break; fi
    [ "$status" = 200 ]
done
echo "full at body $full: $(head -c 300 /tmp/answer)"
grep -q memory-full /tmp/answer
curl -fsS 'http://127.0.0.1:8080/should-show-ad/7?dry_run=true'
curl -fsS http://127.0.0.1:8081/metrics | grep -E '^upbeat_(profiles|profile_bytes|resident_bytes)'
group=$(systemctl show -p ControlGroup --value upbeat)
cat /sys/fs/cgroup/memory"$group"/memory.max_usage_in_bytes /sys/fs/cgroup"$group"/memory.peak 2>/dev/null || true
systemctl restart upbeat
curl -fsS http://127.0.0.1:8081/metrics | grep -E '^upbeat_(profiles|resident_bytes)'
echo "restarts $(systemctl show -p NRestarts --value upbeat), $(systemctl show -p Result --value upbeat)"
journalctl -u upbeat --no-pager | head -30
"#;
    let Some(text) = on_machine(240, &script) else { return };
    assert!(text.contains("restarts 0, success\n"), "{text}");
}
