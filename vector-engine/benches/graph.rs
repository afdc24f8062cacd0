//! What a graph costs to build and to search on this machine, and what recall it gives.
//!
//! `graph DATA [SET...]`: for each set (`SET.base.npy`, `SET.query.npy`, of `f32`) builds a graph
//! and searches it with nodes in memory: estimates by codes as a segment keeps them, distances by
//! the rows. Costs are processor time of this process; recall is of the ten nearest.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at any failure")]

use std::num::NonZeroUsize;
use std::path::Path;

use vector_engine::code::{CodeQuery, Codebook};
use vector_engine::graph::{
    BuildOptions, Expanded, Graph, Nodes, Pace, RowSpace, SearchOptions, SearchScratch, build,
    search,
};
use vector_engine::kernel::Probe;
use vector_engine::{Metric, Result};

const TOP: usize = 10;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().unwrap_or_else(|| "/tmp/vecdata".into());
    let sets: Vec<String> = arguments.collect();
    let sets =
        if sets.is_empty() { ["c128", "l768", "deb384"].map(Into::into).into() } else { sets };
    for set in sets {
        let read = |part| Table::read(&Path::new(&data).join(format!("{set}.{part}.npy")));
        measure(&set, &read("base"), &read("query"));
    }
}

fn measure(set: &str, base: &Table, queries: &Table) {
    let metric = Metric::Euclidean;
    let codebook = Codebook::of_rows(metric, 7, base.dimension, base.rows()).unwrap();
    let start = processor_seconds();
    let mut space = RowSpace::new(metric, codebook.centroid());
    space.reserve(base.rows().len());
    base.rows().for_each(|row| space.push(row));
    let space = space.finish();
    let workers = NonZeroUsize::new(2).unwrap();
    let options = BuildOptions { workers, ..BuildOptions::default() };
    let graph = build(&space, &options, &|_| Pace::Continue).unwrap();
    println!("{set}: {options:?}: {:.1} CPU-s", processor_seconds() - start);

    let mut codes = vec![0; base.rows().len() * codebook.code_bytes()];
    for (row, code) in base.rows().zip(codes.chunks_exact_mut(codebook.code_bytes())) {
        codebook.encode_row(row, code);
    }
    let segment = Segment { base, graph: &graph, codebook: &codebook, codes: &codes };
    let third = |row: u32| row.is_multiple_of(3);
    let tenth = |row: u32| row % 10 == 3;
    let all = |_: u32| true;
    let accepts: [(&str, &dyn Fn(u32) -> bool); 3] =
        [("all", &all), ("a third", &third), ("a tenth", &tenth)];
    for (name, accept) in accepts {
        let nearest: Vec<Vec<u32>> =
            queries.rows().map(|query| exact(base, metric, query, accept)).collect();
        let default = SearchOptions::new(TOP, accept);
        segment.search(&format!("{name}, default"), queries, &nearest, &default);
        for (beam, beam_arrived) in [(4, 4), (4, 8), (8, 32)] {
            let options = SearchOptions { beam, beam_arrived, ..default };
            segment.search(
                &format!("{name}, beam {beam}/{beam_arrived}"),
                queries,
                &nearest,
                &options,
            );
        }
        for margin in [2.0, 3.0, 3.5] {
            let options = SearchOptions { margin, ..default };
            segment.search(&format!("{name}, margin {margin}"), queries, &nearest, &options);
        }
    }
}

struct Segment<'a> {
    base: &'a Table,
    graph: &'a Graph,
    codebook: &'a Codebook,
    codes: &'a [u8],
}

impl Segment<'_> {
    fn search(
        &self,
        name: &str,
        queries: &Table,
        nearest: &[Vec<u32>],
        options: &SearchOptions<'_>,
    ) {
        let mut scratch = SearchScratch::default();
        let (mut reads, mut rounds, mut hits) = (0, 0, 0);
        let start = processor_seconds();
        for (query, nearest) in queries.rows().zip(nearest) {
            let probe = Probe::new(self.codebook.metric(), query);
            let mut nodes = Memory { of: self, probe, prepared: self.codebook.prepare(query) };
            let found = search(&mut nodes, self.graph.entries(), options, &mut scratch).unwrap();
            reads += found.expanded;
            rounds += found.rounds;
            hits += found.candidates.iter().filter(|(row, _)| nearest.contains(row)).count();
        }
        let count = nearest.len() as f64;
        println!(
            "  {name}: recall {:.4}, {:.0} us, {:.1} reads in {:.1} rounds",
            hits as f64 / count / TOP as f64,
            (processor_seconds() - start) * 1e6 / count,
            f64::from(reads) / count,
            f64::from(rounds) / count,
        );
    }
}

struct Memory<'a> {
    of: &'a Segment<'a>,
    probe: Probe,
    prepared: CodeQuery,
}

impl Nodes for Memory<'_> {
    fn rows(&self) -> u32 {
        self.of.graph.rows()
    }

    fn estimate(&mut self, rows: &[u32], out: &mut Vec<f32>) {
        let bytes = self.of.codebook.code_bytes();
        out.clear();
        out.extend(rows.iter().map(|&row| {
            let code = &self.of.codes[row as usize * bytes..][..bytes];
            self.of.codebook.estimate(&self.prepared, code)
        }));
    }

    fn expand(&mut self, rows: &[u32], out: &mut Expanded) -> Result<()> {
        for (place, &row) in rows.iter().enumerate() {
            let distance = self.probe.distance(self.of.base.row(row));
            out.put(place, distance, self.of.graph.neighbours(row).iter().copied());
        }
        Ok(())
    }
}

fn exact(base: &Table, metric: Metric, query: &[f32], accept: &dyn Fn(u32) -> bool) -> Vec<u32> {
    let probe = Probe::new(metric, query);
    let rows = base.rows().zip(0..).filter(|(_, row)| accept(*row));
    let mut distances: Vec<(f32, u32)> =
        rows.map(|(values, row)| (probe.distance(values), row)).collect();
    distances.select_nth_unstable_by(TOP, |one, other| one.0.total_cmp(&other.0));
    distances[..TOP].iter().map(|(_, row)| *row).collect()
}

/// Processor time of all threads of this process, those that ended among them.
fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Rows of one length.
struct Table {
    dimension: usize,
    values: Vec<f32>,
}

impl Table {
    fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> + Clone {
        self.values.chunks_exact(self.dimension)
    }

    fn row(&self, row: u32) -> &[f32] {
        &self.values[row as usize * self.dimension..][..self.dimension]
    }

    /// A file of numpy's: two dimensions of little-endian `f32`, rows first.
    fn read(path: &Path) -> Self {
        let bytes =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let header_bytes = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let header = std::str::from_utf8(&bytes[10..10 + header_bytes]).unwrap();
        assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
        let shape = header.split(['(', ')']).nth(1).unwrap();
        let dimension = shape.split(',').nth(1).unwrap().trim().parse().unwrap();
        let numbers = bytes[10 + header_bytes..].as_chunks().0.iter();
        Self { dimension, values: numbers.map(|number| f32::from_le_bytes(*number)).collect() }
    }
}
