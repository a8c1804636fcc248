// Drives a Medusa 2 as a merchant does: `setup` makes a shop, `order` an order, `ship`, `deliver`, `return`, `receive`
// what follows. Prints JSON. BASE is where it is.
const base = process.env.BASE
const state = JSON.parse(process.env.STATE || '{}')
let token

async function call(path, body, method) {
    const answer = await fetch(base + path, {
        method: method || (body === undefined ? 'GET' : 'POST'),
        headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
        body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
    return JSON.parse(text)
}

const steps = {
    async setup() {
        const { region } = await call('/admin/regions', { name: 'CN', currency_code: 'cny', countries: ['cn'], payment_providers: ['pp_system_default'] })
        const { sales_channel } = await call('/admin/sales-channels', { name: 'flagship' })
        const { stock_location } = await call('/admin/stock-locations', { name: 'hangzhou' })
        const place = `/admin/stock-locations/${stock_location.id}`
        await call(`${place}/sales-channels`, { add: [sales_channel.id] })
        await call(`${place}/fulfillment-providers`, { add: ['manual_manual'] })
        const sets = await call(`${place}/fulfillment-sets?fields=*fulfillment_sets`, { name: 'parcels', type: 'shipping' })
        const set = sets.stock_location.fulfillment_sets[0].id
        const zone = await call(`/admin/fulfillment-sets/${set}/service-zones`, { name: 'cn', geo_zones: [{ type: 'country', country_code: 'cn' }] })
        const { shipping_profile } = await call('/admin/shipping-profiles', { name: 'usual', type: 'default' })
        const option = (name, rules) => call('/admin/shipping-options', {
            name, service_zone_id: zone.fulfillment_set.service_zones[0].id, shipping_profile_id: shipping_profile.id,
            provider_id: 'manual_manual', price_type: 'flat', type: { label: name, description: name, code: name },
            prices: [{ currency_code: 'cny', amount: 0 }], rules,
        })
        const there = await option('there', [])
        const back = await option('back', [{ attribute: 'is_return', operator: 'eq', value: 'true' }])
        const { product } = await call('/admin/products', {
            title: 'cup', status: 'published', shipping_profile_id: shipping_profile.id, sales_channels: [{ id: sales_channel.id }],
            options: [{ title: 'size', values: ['one'] }],
            variants: [{ title: 'one', options: { size: 'one' }, manage_inventory: false, prices: [{ currency_code: 'cny', amount: 59 }] }],
        })
        return {
            region: region.id, channel: sales_channel.id, location: stock_location.id, variant: product.variants[0].id,
            there: there.shipping_option.id, back: back.shipping_option.id,
        }
    },
    async order() {
        const address = { first_name: '张', last_name: '三', address_1: '文三路 1 号', city: '杭州', country_code: 'cn', postal_code: '310000', phone: '13912345678' }
        const { draft_order } = await call('/admin/draft-orders', {
            region_id: state.region, sales_channel_id: state.channel, email: 'buyer@x.test', shipping_address: address,
            billing_address: address, items: [{ variant_id: state.variant, quantity: 1 }],
            shipping_methods: [{ shipping_option_id: state.there, name: 'there', amount: 0 }],
        })
        const { order } = await call(`/admin/draft-orders/${draft_order.id}/convert-to-order`, {})
        const full = await call(`/admin/orders/${order.id}`)
        return { order: order.id, item: full.order.items[0].id }
    },
    async ship() {
        const path = `/admin/orders/${state.order}/fulfillments`
        const items = [{ id: state.item, quantity: 1 }]
        const made = await call(`${path}?fields=*fulfillments`, { items, location_id: state.location })
        const fulfillment = made.order.fulfillments[0].id
        await call(`${path}/${fulfillment}/shipments`, { items, labels: [{ tracking_number: 'SF1', tracking_url: '#', label_url: '#' }] })
        return { fulfillment }
    },
    async deliver() {
        await call(`/admin/orders/${state.order}/fulfillments/${state.fulfillment}/mark-as-delivered`, {})
        return {}
    },
    async return() {
        const made = await call('/admin/returns', { order_id: state.order, location_id: state.location })
        const path = `/admin/returns/${made.return.id}`
        await call(`${path}/request-items`, { items: [{ id: state.item, quantity: 1 }] })
        await call(`${path}/request`, {})
        return { return: made.return.id }
    },
    async receive() {
        const path = `/admin/returns/${state.return}`
        await call(`${path}/receive`, {})
        const { return: full } = await call(`${path}?fields=*items`)
        await call(`${path}/receive-items`, { items: full.items.map(i => ({ id: i.item_id, quantity: 1 })) })
        await call(`${path}/receive/confirm`, {})
        return {}
    },
    async show() {
        return {
            order: (await call(`/admin/orders?id=${state.order}&fields=id,display_id,status,fulfillment_status,payment_status,created_at,updated_at,*fulfillments`)).orders,
            return: (await call('/admin/returns?order=updated_at')).returns,
        }
    },
}

const login = await call('/auth/user/emailpass', { email: 'admin@x.test', password: process.env.MEDUSA_PASSWORD })
token = login.token
for (const step of process.argv.slice(2)) Object.assign(state, await steps[step]())
console.log(JSON.stringify(state))
