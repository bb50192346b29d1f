//! The table of hit ratios that a whole run writes and a quick one reads: a line for each trace
//! and capacity, a column for each contender with its version.

use std::fmt::Write;

use crate::memory::contenders::Contender;

/// Hit ratios in percent: for each contender one for each point.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// Trace and capacity.
    pub(crate) points: Vec<(String, usize)>,
    pub(crate) columns: Vec<Column>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) contender: Contender,
    pub(crate) version: String,
    pub(crate) ratios: Vec<f64>,
}

impl Column {
    /// The mean over all points.
    pub(crate) fn mean(&self) -> f64 {
        self.ratios.iter().sum::<f64>() / self.ratios.len() as f64
    }
}

impl Table {
    pub(crate) fn column(&self, contender: Contender) -> Option<&Column> {
        self.columns.iter().find(|column| column.contender == contender)
    }

    /// The best peer at a point and what it hits there.
    pub(crate) fn best_peer_at(&self, point: usize) -> Option<(Contender, f64)> {
        let peers = self.columns.iter().filter(|column| column.contender.is_peer());
        peers
            .map(|column| (column.contender, column.ratios[point]))
            .max_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// The peer with the best mean.
    pub(crate) fn best_peer(&self) -> Option<&Column> {
        let peers = self.columns.iter().filter(|column| column.contender.is_peer());
        peers.max_by(|one, other| one.mean().total_cmp(&other.mean()))
    }

    pub(crate) fn to_csv(&self) -> String {
        let mut csv = "trace,capacity".to_owned();
        for Column { contender, version, .. } in &self.columns {
            write!(csv, ",{} {version}", contender.name()).expect("a text grows");
        }
        for (index, (trace, capacity)) in self.points.iter().enumerate() {
            write!(csv, "\n{trace},{capacity}").expect("a text grows");
            for column in &self.columns {
                write!(csv, ",{:.3}", column.ratios[index]).expect("a text grows");
            }
        }
        csv + "\n"
    }

    /// # Errors
    ///
    /// When it isn't what [`to_csv`](Self::to_csv) writes: which line, and what it is about.
    pub(crate) fn from_csv(csv: &str) -> Result<Self, String> {
        let mut lines = csv.lines();
        let heading = lines.next().unwrap_or_default();
        let columns = heading.split(',').skip(2).map(|title| {
            let (name, version) = title.split_once(' ')?;
            let contender = Contender::ALL.into_iter().find(|one| one.name() == name)?;
            Some(Column { contender, version: version.to_owned(), ratios: Vec::new() })
        });
        let columns = columns.collect::<Option<Vec<_>>>().ok_or("line 1: an unknown contender")?;
        let mut table = Self { points: Vec::new(), columns };
        for (number, line) in lines.enumerate() {
            let mut fields = line.split(',');
            let mut read = || {
                let trace = fields.next()?.to_owned();
                table.points.push((trace, fields.next()?.parse().ok()?));
                for column in &mut table.columns {
                    column.ratios.push(fields.next()?.parse().ok()?);
                }
                fields.next().is_none().then_some(())
            };
            read().ok_or_else(|| format!("line {}: not as many numbers as columns", number + 2))?;
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |contender, ratios: [f64; 2]| Column {
            contender,
            version: "1.2.3".to_owned(),
            ratios: ratios.to_vec(),
        };
        Table {
            points: vec![("arc".to_owned(), 64), ("arc".to_owned(), 640)],
            columns: vec![
                column(Contender::Larder, [50.0, 99.0]),
                column(Contender::Moka, [10.5, 60.0]),
                column(Contender::FoyerS3Fifo, [20.0, 55.125]),
            ],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let csv = table().to_csv();
        assert!(csv.starts_with(
            "trace,capacity,larder 1.2.3,moka 1.2.3,foyer_s3fifo 1.2.3\narc,64,50.000,10.500,"
        ));
        assert_eq!(Table::from_csv(&csv), Ok(table()));
    }

    #[test]
    fn a_broken_line_is_named() {
        let broken = table().to_csv().replace(",60.000", "");
        assert_eq!(
            Table::from_csv(&broken),
            Err("line 3: not as many numbers as columns".to_owned())
        );
        let unknown = Table::from_csv("trace,capacity,pantry 1.0\n");
        assert_eq!(unknown, Err("line 1: an unknown contender".to_owned()));
    }

    #[test]
    fn the_best_are_found_by_point_and_by_mean() {
        let table = table();
        assert_eq!(table.best_peer_at(0), Some((Contender::FoyerS3Fifo, 20.0)));
        assert_eq!(table.best_peer_at(1), Some((Contender::Moka, 60.0)));
        let best = table.best_peer().expect("there are peers");
        assert_eq!((best.contender, best.mean()), (Contender::FoyerS3Fifo, 37.5625));
    }
}
