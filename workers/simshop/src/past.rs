//! The past in chunks that can be stored one by one: each holds whole orders, and refers only to what chunks
//! before it hold.

use crate::{
    Category, Center, Customer, Movement, Price, Product, Row, Sale, Shipper, Shop, Stock, StockKeeper, Supplier,
    Truth, Value,
};

/// Customers of one chunk.
const CUSTOMERS: u64 = 5_000;
/// Orders of one chunk.
const ORDERS: u64 = 2_000;

/// Rows that belong together.
#[derive(Debug, Default)]
pub struct Chunk {
    /// `catalogue`, `customers`, `sales` or `stock`.
    pub source: &'static str,
    /// Counts from 0 within its source.
    pub number: u32,
    categories: Vec<Category>,
    suppliers: Vec<Supplier>,
    products: Vec<Product>,
    prices: Vec<Price>,
    centers: Vec<Center>,
    shippers: Vec<Shipper>,
    customers: Vec<Customer>,
    sales: Vec<Sale>,
    movements: Vec<Movement>,
    stock: Vec<Stock>,
    truth: Vec<Truth>,
}

/// Rows of one table.
#[derive(Debug)]
pub struct TableRows<'a> {
    /// The table.
    pub table: &'static str,
    /// Its columns.
    pub columns: &'static [&'static str],
    /// One list of cells a row.
    pub rows: Vec<Vec<Value<'a>>>,
}

impl<'a> TableRows<'a> {
    /// The cells of `rows`.
    pub fn of<R: Row + 'a>(rows: impl IntoIterator<Item = &'a R>) -> Self {
        let rows = rows
            .into_iter()
            .map(|row| {
                let mut cells = Vec::with_capacity(R::COLUMNS.len());
                row.values(&mut cells);
                cells
            })
            .collect();
        Self { table: R::TABLE, columns: R::COLUMNS, rows }
    }
}

impl Chunk {
    /// Its rows by table, in the order in which references resolve; tables without rows are left out.
    pub fn tables(&self) -> Vec<TableRows<'_>> {
        let mut tables = vec![
            TableRows::of(&self.categories),
            TableRows::of(&self.suppliers),
            TableRows::of(&self.products),
            TableRows::of(&self.prices),
            TableRows::of(&self.centers),
            TableRows::of(&self.shippers),
            TableRows::of(&self.customers),
            TableRows::of(self.sales.iter().map(|sale| &sale.order)),
            TableRows::of(self.sales.iter().flat_map(|sale| &sale.items)),
            TableRows::of(self.sales.iter().flat_map(|sale| &sale.payments)),
            TableRows::of(self.sales.iter().filter_map(|sale| sale.shipment.as_ref())),
            TableRows::of(&self.movements),
            TableRows::of(&self.stock),
            TableRows::of(&self.truth),
        ];
        tables.retain(|table| !table.rows.is_empty());
        tables
    }
}

/// What comes next in a [`Past`].
enum Stage {
    Catalogue,
    Customers(u64),
    Opening,
    Sales(u64),
    Stock,
    Done,
}

/// Every chunk of a shop's past, in order.
pub struct Past {
    shop: Shop,
    stage: Stage,
    keeper: Option<StockKeeper>,
}

impl Past {
    /// The past of `shop`.
    pub fn new(shop: Shop) -> Self {
        Self { shop, stage: Stage::Catalogue, keeper: None }
    }

    /// Number of chunks in all.
    pub fn chunks(&self) -> u64 {
        let settings = self.shop.settings();
        3 + settings.customers().div_ceil(CUSTOMERS) + settings.orders().div_ceil(ORDERS)
    }

    fn catalogue(&self) -> Chunk {
        let shop = &self.shop;
        Chunk {
            source: "catalogue",
            categories: shop.categories(),
            suppliers: shop.suppliers(),
            products: shop.products().to_vec(),
            prices: shop.prices(),
            centers: shop.centers(),
            shippers: shop.shippers(),
            truth: shop.catalogue_truth(),
            ..Chunk::default()
        }
    }

    fn customers(&self, from: u64) -> Chunk {
        let settings = self.shop.settings();
        let to = (from + CUSTOMERS).min(settings.customers());
        let customers: Vec<_> = (from..to).map(|index| self.shop.customer(index)).collect();
        let truth = customers.iter().filter_map(|customer| customer.truth(settings.seed)).collect();
        Chunk { source: "customers", number: number(from / CUSTOMERS), customers, truth, ..Chunk::default() }
    }

    fn sales(&mut self, from: u64) -> Chunk {
        let settings = self.shop.settings();
        let to = (from + ORDERS).min(settings.orders());
        let sales: Vec<_> = (from..to).map(|index| self.shop.sale(index)).collect();
        let truth = sales.iter().flat_map(|sale| sale.truth(settings.seed)).collect();
        let mut movements = Vec::new();
        if let Some(keeper) = &mut self.keeper {
            for sale in &sales {
                keeper.apply(sale, &mut movements);
            }
        }
        Chunk { source: "sales", number: number(from / ORDERS), sales, movements, truth, ..Chunk::default() }
    }
}

impl Iterator for Past {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let (chunk, next) = match self.stage {
            Stage::Catalogue => (self.catalogue(), Stage::Customers(0)),
            Stage::Customers(from) => {
                let next = from + CUSTOMERS;
                let more = next < self.shop.settings().customers();
                (self.customers(from), if more { Stage::Customers(next) } else { Stage::Opening })
            }
            Stage::Opening => {
                let (keeper, movements) = self.shop.stock_keeper();
                self.keeper = Some(keeper);
                (Chunk { source: "stock", movements, ..Chunk::default() }, Stage::Sales(0))
            }
            Stage::Sales(from) => {
                let next = from + ORDERS;
                let more = next < self.shop.settings().orders();
                (self.sales(from), if more { Stage::Sales(next) } else { Stage::Stock })
            }
            Stage::Stock => {
                let mut movements = Vec::new();
                let stock = self.keeper.take().map(|keeper| keeper.close(&mut movements)).unwrap_or_default();
                let seed = self.shop.settings().seed;
                let truth = stock.iter().filter_map(|place| place.truth(seed)).collect();
                (Chunk { source: "stock", number: 1, movements, stock, truth, ..Chunk::default() }, Stage::Done)
            }
            Stage::Done => return None,
        };
        self.stage = next;
        Some(chunk)
    }
}

fn number(chunk: u64) -> u32 {
    u32::try_from(chunk).unwrap_or(u32::MAX)
}
