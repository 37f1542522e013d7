fn main() {
    let mut failed = 0;
    let start = std::time::Instant::now();
    let (mut virt, mut ev) = (0u64, 0u64);
    let a: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    for seed in a[0]..a[0] + a[1] {
        let r = gaggle::sim::run::run(seed, gaggle::sim::run::Options { trace: if a[1] == 1 { gaggle::sim::trace::TraceDepth::Full } else { gaggle::sim::trace::TraceDepth::Digest }, ..Default::default() });
        virt += r.virtual_time; ev += r.events;
        if a[1] == 1 { for l in &r.trace { println!("{l}"); } println!("{r:?}"); }
        if let Some(v) = r.violation { failed += 1; let p = gaggle::sim::plan::Plan::of(seed, None, None); println!("{seed}: {v}\n     {:?} {:?} voters {:?} knows {:?}", p.kinds, p.setups[0].timing.lease, p.voters, p.setups.iter().map(|s| s.voters.is_some()).collect::<Vec<_>>()); }
    }
    let s = start.elapsed().as_secs_f64();
    println!("failed {failed}, {:.0} virtual s/s, {:.0} events/s", virt as f64 / 1e9 / s, ev as f64 / s);
}
